# SPDX-License-Identifier: Apache-2.0
"""What a created machine boots from: as asked for, else as its source did.

Format: https://libvirt.org/formatdomain.html#bios-bootloader (<os><boot>), and <boot order> of
devices, which a domain has instead.
"""

from dataclasses import dataclass

from tradewind.domainxml.document import Element, attribute
from tradewind.domainxml.final_nics import described_nics
from tradewind.domainxml.machine import moving_disks, target_of
from tradewind.model.deploy import FinalDomain
from tradewind.model.hardware import NETWORK

_OTHER = (
    "The machine booted from something other than its disk first; the moved machine boots from its"
    " disk."
)


@dataclass(frozen=True, slots=True)
class BootRanks:
    """Places in the boot order, from 1 on: of disks by their source's name, of NICs by number.

    Two NICs may have one MAC address, so that it names neither.
    """

    disks: dict[str, int]
    nics: dict[int, int]


def boot_ranks(source: Element, plan: FinalDomain) -> BootRanks:
    """Rank what the machine boots from; unless chosen, the disks and NICs that it booted from."""
    names: list[str | int] = [*_disks_by_order(source, plan), *_booted_nics(source, plan)]
    if plan.hardware.boot_order:
        every_nic = range(len(plan.nics))
        asked = plan.hardware.boot_order
        names = [each for name in asked for each in (every_nic if name == NETWORK else [name])]
    ranked = {name: rank for rank, name in enumerate(names, start=1)}
    return BootRanks(
        disks={name: rank for name, rank in ranked.items() if isinstance(name, str)},
        nics={name: rank for name, rank in ranked.items() if isinstance(name, int)},
    )


def _disks_by_order(source: Element, plan: FinalDomain) -> list[str]:
    """Name the disks the source boots from; the first one where it does not say."""
    described = {target_of(disk): disk for disk in moving_disks(source)}
    asked = {
        disk.disk_id: int(order)
        for disk in plan.disks
        if (found := described.get(disk.disk_id)) is not None
        and (order := attribute(found, "boot", "order"))
    }
    return sorted(asked, key=lambda name: asked[name]) or [plan.disks[0].disk_id]


def _booted_nics(source: Element, plan: FinalDomain) -> list[int]:
    asked = {
        number: int(order)
        for number, nic in enumerate(described_nics(source, plan))
        if nic is not None and (order := attribute(nic, "boot", "order"))
    }
    if not asked and source.find("os/boot[@dev='network']") is not None:
        return [0] if plan.nics else []
    return sorted(asked, key=lambda number: asked[number])


def lost_start(source: Element) -> str:
    """Say from what that does not move the source booted; empty where it was a disk that does."""
    first = _first(source)
    if first is None or first.tag != "disk":
        return "" if first is None and _is_disk_first(source) else _OTHER
    if first.get("device") == "lun":
        return (
            f"The machine booted from the SCSI LUN {attribute(first, 'source', 'dev')}, which is"
            " not moved; the moved machine boots from its first disk: see that it has a boot"
            " loader."
        )
    return "" if first.get("device", "disk") == "disk" else _OTHER


def _is_disk_first(source: Element) -> bool:
    return source.find("os/boot") is None or attribute(source, "os/boot", "dev") == "hd"


def _first(source: Element) -> Element | None:
    """Find the device that the source tries first."""
    ranked = {
        int(order): device
        for device in source.iterfind("devices/*")
        if (order := attribute(device, "boot", "order"))
    }
    if ranked:
        return ranked[min(ranked)]
    disks = source.iterfind("devices/disk") if _is_disk_first(source) else ()
    hard = (disk for disk in disks if disk.get("device", "disk") in {"disk", "lun"})
    return next(hard, None)
