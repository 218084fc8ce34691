# SPDX-License-Identifier: Apache-2.0
"""Look at everything in a guest that concerns its network, at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS
from tradewind.model.mac import read_mac
from tradewind.morphing import files
from tradewind.morphing.linux import systemd
from tradewind.morphing.linux.boot import commandline
from tradewind.morphing.linux.network import (
    early_network,
    ifcfg,
    ifupdown,
    ifupdown_sources,
    matching,
    name_pins,
    netplan,
    networkd,
    networkmanager,
    wicked,
)
from tradewind.morphing.linux.network.program import Interface, NetworkProgram
from tradewind.ports import GuestTree

# In the order in which one is chosen for NICs that nothing configures yet.
PROGRAMS: Final[tuple[NetworkProgram, ...]] = (
    netplan, networkmanager, ifcfg, networkd, wicked, ifupdown,
)  # fmt: skip
_DEEPEST: Final = 8
# systemd-udevd.service(8): without these names, NICs keep those of the kernel.
_KERNELS_NAMES: Final = re.compile(r"(?<!\S)net\.ifnames=(0|no|false|off|n|f)(?!\S)")


@dataclass(frozen=True, slots=True)
class GuestNetwork:
    """The guest's network: files by path, programs that run, and the NICs it will have.

    `present` are those of the asked-for paths that exist, `available` the programs that would run.
    `command_lines` are those of its kernels.
    """

    texts: Mapping[str, str]
    present: frozenset[str]
    available: tuple[NetworkProgram, ...]
    macs: tuple[str, ...]
    command_lines: tuple[str, ...] = ()

    def has(self, *paths: str) -> bool:
        """Whether one of these paths is there."""
        return any(path in self.present for path in paths)

    @property
    def pinned(self) -> dict[str, str]:
        """Names of NICs that are certain, by MAC address."""
        udev = name_pins.pinned(self.texts, self.present, self.macs)
        early_names = early_network.tied(self.command_lines)
        return {mac: name for mac, name in early_names.items() if mac in self.macs} | udev

    @property
    def foreign_names(self) -> frozenset[str]:
        """Names that udev keeps for NICs which this machine has not."""
        return name_pins.foreign(self.texts, self.present, self.macs)

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Names that a NIC may get when nothing names it: udev's, or the kernel's."""
        predictable = name_pins.by_links(self.texts, self.present) and not any(
            _KERNELS_NAMES.search(line) for line in self.command_lines
        )
        return matching.PREDICTABLE if predictable else matching.BY_THE_KERNEL

    @property
    def in_use(self) -> tuple[NetworkProgram, ...]:
        """The programs that run and configure something."""
        return tuple(p for p in self.available if p.interfaces(self.texts))

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """What they configure."""
        return tuple(i for program in self.available for i in program.interfaces(self.texts))


def survey(guest: GuestTree, os: GuestOS, *more: str) -> GuestNetwork:
    """Read it; `more` are further paths whose presence matters to who asks."""
    needs = [path for program in PROGRAMS for group in program.NEEDS for path in group]
    present = frozenset(files.present(guest, *needs, *name_pins.FACTS, *more))
    units = systemd.states(guest, [p.UNIT for p in PROGRAMS if p.UNIT])
    texts = read(guest, *commandline.EFFECTIVE)
    boot = {path: text for path, text in texts.items() if path.startswith(("/boot/", "/efi/"))}
    return GuestNetwork(
        texts={path: text for path, text in texts.items() if path not in boot},
        present=present,
        available=tuple(p for p in PROGRAMS if _runs(p, present, units)),
        macs=_addresses(os.macs),
        command_lines=tuple(
            line for path, text in boot.items() for line in commandline.lines(path, text)
        ),
    )


def read(guest: GuestTree, *more: str) -> dict[str, str]:
    """Read every file of the guest that says something about its NICs, and `more`."""
    patterns = [pattern for program in PROGRAMS for pattern in program.PATTERNS]
    texts = files.read(guest, *name_pins.PATTERNS, *early_network.PATTERNS, *patterns, *more)
    asked: set[str] = set(ifupdown.PATTERNS)
    # An included file may include others; nobody nests them deeper.
    for _ in range(_DEEPEST):
        left = [p for p in ifupdown_sources.patterns(texts) if p not in asked]
        if not left:
            break
        asked |= set(left)
        texts |= files.read(guest, *left)
    return texts


def _runs(program: NetworkProgram, present: frozenset[str], units: Mapping[str, str]) -> bool:
    there = all(any(path in present for path in group) for group in program.NEEDS)
    # Without any of these units the guest has no systemd, or one that cannot be asked.
    enabled = not (program.UNIT and units) or systemd.starts(units.get(program.UNIT, ""))
    return there and enabled


def _addresses(macs: Sequence[str]) -> tuple[str, ...]:
    read_macs = tuple(read_mac(mac) for mac in macs)
    if "" in read_macs or len(set(read_macs)) < len(read_macs):
        raise MorphingError(
            f"the machine's NICs have addresses that do not tell them apart: {', '.join(macs)}",
            "give each NIC an address of its own on the source",
        )
    return read_macs
