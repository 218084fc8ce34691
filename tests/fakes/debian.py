# SPDX-License-Identifier: Apache-2.0
"""What the programs of a Debian guest do, as far as morphing can tell."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fakes.guest_tree import FakeGuestTree, completed
from tradewind.morphing.steps.linux.initramfs import MODULES_FILE, WANTED
from tradewind.ports import Completed

CLOUD_UNITS = ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")


class FakeDebian(FakeGuestTree):
    """A guest with apt, systemd, initramfs-tools and ifupdown.

    `repositories` are the packages that can be had, `images` the drivers in each kernel's initial
    RAM disk; a rebuilt image has what the list of modules names.
    """

    def __init__(
        self, root: Path, files: Mapping[str, str], kernels: Sequence[str] = ("6.1.0-18-amd64",)
    ) -> None:
        super().__init__(root, files)
        self.installed: set[str] = set()
        self.repositories = {"cloud-init", "qemu-guest-agent", "isc-dhcp-client"}
        self.unit_states: dict[str, str] = {}
        self.drivers = {kernel: set(WANTED) for kernel in kernels}
        self.images: dict[str, set[str]] = {kernel: {"ext4"} for kernel in kernels}
        self.on("dpkg-query", self._dpkg_query)
        self.on("apt-get", self._apt_get)
        self.on("update && :", completed)
        self.on("dpkg --configure", completed)
        self.on("systemctl list-unit-files", self._unit_files)
        self.on("systemctl enable", self._enable)
        self.on("systemctl unmask", completed)
        self.on("lsinitramfs", self._survey)
        self.on("update-initramfs -", self._update_initramfs)
        self.on("ifquery", completed)

    def _dpkg_query(self, argv: Sequence[str]) -> Completed:
        asked = argv[4:]
        if not set(asked) <= self.installed:
            return completed(argv, 1)
        return completed(argv, 0, "installed\n" * len(asked))

    def _apt_get(self, argv: Sequence[str]) -> Completed:
        if "purge" in argv:
            self.installed -= set(argv)
            return completed(argv)
        wanted = set(argv[argv.index("--no-install-recommends") + 1 :])
        if not wanted <= self.repositories:
            missing = ", ".join(sorted(wanted - self.repositories))
            return Completed(tuple(argv), 100, "", f"E: Unable to locate package {missing}")
        self.installed |= wanted
        if "cloud-init" in wanted:
            self.unit_states |= {f"{unit}.service": "enabled" for unit in CLOUD_UNITS}
            self.installed.add("isc-dhcp-client")
            self.write_text("/sbin/dhclient", "")
        if "qemu-guest-agent" in wanted:
            self.unit_states["qemu-guest-agent.service"] = "static"
            self.write_text("/lib/udev/rules.d/60-qemu-guest-agent.rules", "")
        return completed(argv)

    def _unit_files(self, argv: Sequence[str]) -> Completed:
        lines = [
            f"{unit} {self.unit_states[unit]} enabled\n"
            for unit in argv
            if unit in self.unit_states
        ]
        return completed(argv, 0, "".join(lines))

    def _enable(self, argv: Sequence[str]) -> Completed:
        self.unit_states[argv[-1]] = "enabled"
        return completed(argv)

    def _survey(self, argv: Sequence[str]) -> Completed:
        lines: list[str] = []
        for kernel in argv[4:]:
            lines += [f"{kernel} module {name}\n" for name in sorted(self.drivers[kernel])]
            lines += [f"{kernel} image {name}\n" for name in sorted(self.images[kernel])]
        return completed(argv, 0, "".join(lines))

    def _update_initramfs(self, argv: Sequence[str]) -> Completed:
        kernel = argv[-1]
        listed = {line.split()[0] for line in self.read_text(MODULES_FILE).split("\n") if line}
        self.images[kernel] |= listed & self.drivers[kernel]
        return completed(argv)
