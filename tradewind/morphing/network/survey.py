# SPDX-License-Identifier: Apache-2.0
"""Look at everything in a guest that concerns its network, at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS
from tradewind.morphing import files, systemd
from tradewind.morphing.network import (
    ifcfg,
    ifupdown,
    netplan,
    networkd,
    networkmanager,
    ties,
    wicked,
)
from tradewind.morphing.network.program import Interface, Program, address
from tradewind.ports import GuestTree

# In the order in which one is chosen for NICs that nothing configures yet.
PROGRAMS: Final[tuple[Program, ...]] = (
    netplan, networkmanager, ifcfg, networkd, wicked, ifupdown,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Network:
    """The guest's network: files by path, programs that run, and the NICs it will have.

    `present` are those of the asked-for paths that exist, `able` the programs that would run.
    """

    texts: Mapping[str, str]
    present: frozenset[str]
    able: tuple[Program, ...]
    macs: tuple[str, ...]

    def has(self, *paths: str) -> bool:
        """Whether one of these paths is there."""
        return any(path in self.present for path in paths)

    @property
    def given(self) -> dict[str, str]:
        """Names of NICs that are certain, by MAC address."""
        return ties.given(self.texts, self.present, self.macs)

    @property
    def in_use(self) -> tuple[Program, ...]:
        """The programs that run and configure something."""
        return tuple(p for p in self.able if p.interfaces(self.texts))

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """What they configure."""
        return tuple(i for program in self.able for i in program.interfaces(self.texts))


def survey(guest: GuestTree, os: GuestOS, *more: str) -> Network:
    """Read it; `more` are further paths whose presence matters to who asks."""
    needs = [path for program in PROGRAMS for group in program.NEEDS for path in group]
    present = frozenset(files.present(guest, *needs, *ties.FACTS, *more))
    units = systemd.states(guest, [p.UNIT for p in PROGRAMS if p.UNIT])
    return Network(
        texts=read(guest),
        present=present,
        able=tuple(p for p in PROGRAMS if _runs(p, present, units)),
        macs=_addresses(os.macs),
    )


def read(guest: GuestTree) -> dict[str, str]:
    """Read every file of the guest that says something about its NICs."""
    patterns = [pattern for program in PROGRAMS for pattern in program.PATTERNS]
    texts = files.read(guest, *ties.PATTERNS, *patterns)
    elsewhere = ifupdown.elsewhere(texts)
    return texts | files.read(guest, *elsewhere) if elsewhere else texts


def _runs(program: Program, present: frozenset[str], units: Mapping[str, str]) -> bool:
    there = all(any(path in present for path in group) for group in program.NEEDS)
    # Without any of these units the guest has no systemd, or one that cannot be asked.
    enabled = not (program.UNIT and units) or systemd.starts(units.get(program.UNIT, ""))
    return there and enabled


def _addresses(macs: Sequence[str]) -> tuple[str, ...]:
    read_macs = tuple(address(mac) for mac in macs)
    if "" in read_macs or len(set(read_macs)) < len(read_macs):
        raise MorphingError(
            f"the machine's NICs have addresses that do not tell them apart: {', '.join(macs)}",
            "give each NIC an address of its own on the source",
        )
    return read_macs
