# SPDX-License-Identifier: Apache-2.0
"""What is plugged into a machine now, and what its definition says: they may differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tradewind.domainxml.document import Element, attribute, parse
from tradewind.domainxml.machine import moving_disks, place_of, target_of
from tradewind.model.mac import read_mac


@dataclass(frozen=True, slots=True)
class Difference:
    """A disk (its target) or NIC (its MAC address): where it is now and by the definition.

    Empty: it is not there.
    """

    name: str
    now: str
    defined: str


def disk_differences(running: str, definition: str) -> tuple[Difference, ...]:
    """Compare the disks of two descriptions of one machine, by their targets."""
    return tuple(_differences(_disks(running), _disks(definition)))


def nic_differences(running: str, definition: str) -> tuple[Difference, ...]:
    """Compare the NICs, by their MAC addresses; what they are plugged into may differ."""
    return tuple(_differences(_nics(running), _nics(definition)))


def read_only_disks(xml: str) -> tuple[str, ...]:
    """Name the disks that the machine cannot write to."""
    return _with(xml, "readonly")


def shared_disks(xml: str) -> tuple[str, ...]:
    """Name the disks that other machines may have, too."""
    return _with(xml, "shareable")


def mirrored_disks(xml: str) -> tuple[str, ...]:
    """Name the disks that a block job copies or commits at the moment."""
    return _with(xml, "mirror")


def disks_of(xml: str) -> tuple[str, ...]:
    """Name the disks."""
    return tuple(_disks(xml))


def nics_of(xml: str) -> frozenset[str]:
    """Name the MAC addresses of the NICs, in lower case."""
    return frozenset(_nics(xml))


def _with(xml: str, child: str) -> tuple[str, ...]:
    return tuple(
        target_of(disk) for disk in moving_disks(parse(xml)) if disk.find(child) is not None
    )


def _disks(xml: str) -> dict[str, str]:
    return {target_of(disk): place_of(disk)[0] or "no place" for disk in moving_disks(parse(xml))}


def _nics(xml: str) -> dict[str, str]:
    nics: list[Element] = list(parse(xml).iterfind("devices/interface"))
    return {read_mac(attribute(nic, "mac", "address") or ""): "plugged in" for nic in nics}


def _differences(now: Mapping[str, str], defined: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*now, *defined}):
        difference = Difference(name, now.get(name, ""), defined.get(name, ""))
        if difference.now != difference.defined:
            yield difference
