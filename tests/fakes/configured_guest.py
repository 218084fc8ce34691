# SPDX-License-Identifier: Apache-2.0
"""A guest of any family, of which only the network matters: golden cases as folders of files."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.guest_tree import FakeGuestTree, completed
from tradewind.model.guest import Family, GuestOS
from tradewind.ports import Completed

SETUP_LINK = "/usr/lib/udev/rules.d/80-net-setup-link.rules"


class ConfiguredGuest(FakeGuestTree):
    """One folder below tests/golden/network: `case.toml` says what the files alone do not.

    `macs`: the NICs of the new machine · `present`: programs · `units`: those that are enabled ·
    `family` · `mode`: the only one that is tried, where the other makes no sense.
    """

    def __init__(self, root: Path, case: Path) -> None:
        files = {
            f"/{path.relative_to(case / 'guest')}": path.read_text()
            for path in sorted((case / "guest").rglob("*"))
            if path.is_file()
        }
        super().__init__(root, files)
        told = tomllib.loads((case / "case.toml").read_text())
        self.about: str = told["about"]
        self.modes: tuple[str, ...] = (told["mode"],) if "mode" in told else ("dhcp", "keep")
        self.units: list[str] = told.get("units", [])
        self.os = GuestOS(
            family=Family(told.get("family", "debian")),
            id="some",
            version="1",
            pretty_name="Some Linux 1",
            mounts=(),
            kernels=(),
            macs=tuple(told["macs"]),
        )
        for path in told["present"]:
            (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            if not (root / path.lstrip("/")).exists():
                self.write_text(path, "")
        if not told.get("no_systemd"):
            self.write_text(SETUP_LINK, "net_setup_link")
        if not told.get("no_udev"):
            self.write_text("/usr/bin/udevadm", "")
        self.on("systemctl list-unit-files", self._unit_files)
        self.on("ifquery", completed)
        self.on("netplan/generate", completed)

    def _unit_files(self, argv: Sequence[str]) -> Completed:
        if not self.exists(SETUP_LINK):
            return completed(argv, 127)
        lines = [f"{unit} {'enabled' if unit in self.units else 'disabled'}\n" for unit in argv[4:]]
        return completed(argv, 0, "".join(lines))
