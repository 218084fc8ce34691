# SPDX-License-Identifier: Apache-2.0
"""What the programs of a Debian guest do, as far as morphing can tell."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.fakes.guest_tree import FakeGuestTree, completed
from tradewind.morphing.linux.boot.builders import MODULES_FILE
from tradewind.morphing.linux.boot.kernels import WANTED
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
        # What else leaves with a package.
        self.dragged_along: dict[str, set[str]] = {}
        self.drivers = {kernel: set(WANTED) for kernel in kernels}
        self.images: dict[str, set[str]] = {kernel: {"ext4"} for kernel in kernels}
        self.on("dpkg-query", self._dpkg_query)
        self.on("apt-get", self._apt_get)
        self.on("update && :", completed)
        self.on("dpkg --configure", completed)
        self.on("dpkg --purge", self._dpkg_purge)
        self.on("systemctl list-unit-files", self._unit_files)
        self.on("systemctl enable", self._enable)
        self.on("systemctl unmask", completed)
        self.on("lsinitramfs", self._survey)
        self.on("update-initramfs -", self._update_initramfs)
        self.on("for program in mkinitramfs", "mkinitramfs\n")
        self.on("lsblk", "disk\npart\n")
        self.on("carried=", "")
        self.on("df -Pk", "1000000000\n1000\n")
        self.on('cp -p "$1" "$2.tradewind-new', completed)
        self.on("ifquery", completed)
        self.write_text("/usr/lib/udev/rules.d/80-net-setup-link.rules", "net_setup_link")
        self.write_text("/usr/bin/udevadm", "")

    def _dpkg_query(self, argv: Sequence[str]) -> Completed:
        asked = argv[4:] or ["*"]
        found = sorted(p for p in self.installed if any(fnmatch(p, a) for a in asked))
        lines = "".join(f"installed\t{name}\t1.0\tamd64\n" for name in found)
        return completed(argv, 0 if found else 1, lines)

    def _dpkg_purge(self, argv: Sequence[str]) -> Completed:
        self.installed -= set(argv)
        return completed(argv)

    def _apt_get(self, argv: Sequence[str]) -> Completed:
        if "--simulate" in argv:
            gone = set(argv[argv.index("remove") + 1 :])
            gone |= {other for name in gone for other in self.dragged_along.get(name, ())}
            return completed(argv, 0, "".join(f"Remv {name} [1.0]\n" for name in sorted(gone)))
        if "remove" in argv:
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
        # Real systemctl: status 1, and not a word.
        return Completed(tuple(argv), 0 if lines else 1, "".join(lines), "")

    def _enable(self, argv: Sequence[str]) -> Completed:
        self.unit_states |= dict.fromkeys(argv[2:], "enabled")
        return completed(argv)

    def _survey(self, argv: Sequence[str]) -> Completed:
        lines: list[str] = []
        for kernel in argv[8:] or self.drivers:
            image = f"/boot/initrd.img-{kernel}"
            lines.append(f"{kernel}\tkernel\t/boot/vmlinuz-{kernel}\n")
            lines += [f"{kernel}\tmodule\t{name}\n" for name in sorted(self.drivers[kernel])]
            if self.exists(image):
                lines.append(f"{kernel}\timage\t{image}\n")
                held = sorted(self.images[kernel])
                lines += [f"{kernel}\tholds {image}\t{name}\n" for name in held]
        return completed(argv, 0, "".join(lines))

    def _update_initramfs(self, argv: Sequence[str]) -> Completed:
        kernel, image = argv[4:6]
        self.write_text(image, "a new image")
        listed = {line.split()[0] for line in self.read_text(MODULES_FILE).split("\n") if line}
        self.images[kernel] |= listed & self.drivers[kernel]
        return completed(argv)
