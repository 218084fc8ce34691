# SPDX-License-Identifier: Apache-2.0
"""The disks of a created domain.

Format: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms.
"""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.document import E, Element, attribute, find
from tradewind.domainxml.machine import moving_disks, target_of
from tradewind.model.deploy import FinalDisk, FinalDomain
from tradewind.model.hardware import DiskBus, DiskCache, DiskIo, Hardware

_TARGET_PREFIX: Final = {
    DiskBus.VIRTIO: "vd",
    DiskBus.SCSI: "sd",
    DiskBus.SATA: "sd",
    DiskBus.IDE: "hd",
}
# Modes in which QEMU opens the image with O_DIRECT, which native I/O needs.
_DIRECT: Final = frozenset({DiskCache.NONE, DiskCache.DIRECTSYNC})
# What a disk keeps of its description; on which buses libvirt takes it (qemu_validate.c).
_KEPT: Final = {
    "serial": frozenset(DiskBus),
    "wwn": frozenset({DiskBus.SCSI, DiskBus.IDE}),
    "vendor": frozenset({DiskBus.SCSI}),
    "product": frozenset({DiskBus.SCSI}),
    "blockio": frozenset(DiskBus),
    "geometry": frozenset(DiskBus),
    "readonly": frozenset({DiskBus.VIRTIO, DiskBus.SCSI}),
}
_TURNS: Final = frozenset({DiskBus.SCSI, DiskBus.SATA, DiskBus.IDE})
_POLICIES: Final = ("error_policy", "rerror_policy")


def disks(source: Element, plan: FinalDomain, ranks: Mapping[str, int]) -> list[Element]:
    """Describe the volumes, each with what the guest knew its disk by.

    `ranks` are places in the boot order, by the names that the disks have on the source.
    """
    described = _described(source)
    return [
        _disk(disk, target, plan.hardware, described.get(disk.disk_id), ranks.get(disk.disk_id))
        for disk, target in zip(plan.disks, targets(plan), strict=True)
    ]


def free_cdrom_target(plan: FinalDomain) -> str:
    """Name the next target of the bus that CD-ROMs are on."""
    taken = sum(target.startswith("sd") for target in targets(plan))
    return devices.target_name("sd", taken)


def lost_of_disks(source: Element, plan: FinalDomain) -> list[str]:
    """Return what of a disk its new bus has no place for."""
    described = _described(source)
    return [
        f"The {name} of disk {disk.disk_id} is left out: a {bus} disk has none."
        for disk in plan.disks
        for name in _KEPT
        if (found := described.get(disk.disk_id)) is not None
        and found.find(name) is not None
        and (bus := plan.hardware.bus_of(disk.disk_id)) not in _KEPT[name]
    ]


def _described(source: Element) -> dict[str, Element]:
    return {target_of(disk): disk for disk in moving_disks(source)}


def targets(plan: FinalDomain) -> list[str]:
    """Name the disks as the new domain does, each after its bus."""
    taken: Counter[str] = Counter()
    names = []
    for disk in plan.disks:
        prefix = _TARGET_PREFIX[plan.hardware.bus_of(disk.disk_id)]
        names.append(devices.target_name(prefix, taken[prefix]))
        taken[prefix] += 1
    return names


def _disk(
    disk: FinalDisk, target: str, hardware: Hardware, described: Element | None, rank: int | None
) -> Element:
    bus = hardware.bus_of(disk.disk_id)
    element = devices.disk(disk.path, disk.format, target, bus.value, block=disk.block)
    _tune(find(element, "driver"), hardware, described)
    if described is not None:
        _keep(element, bus, described)
    if rank is not None:
        element.append(E.boot(order=str(rank)))
    return element


def _tune(driver: Element, hardware: Hardware, described: Element | None) -> None:
    driver.set("cache", hardware.disk_cache.value)
    driver.set("discard", hardware.disk_discard.value)
    driver.set("detect_zeroes", hardware.disk_detect_zeroes.value)
    if hardware.disk_io is not DiskIo.AUTOMATIC:
        driver.set("io", hardware.disk_io.value)
    elif hardware.disk_cache not in _DIRECT:
        driver.attrib.pop("io", "")
    for name in _POLICIES:
        policy = None if described is None else attribute(described, "driver", name)
        if policy:
            driver.set(name, policy)


def _keep(element: Element, bus: DiskBus, described: Element) -> None:
    """Keep what files and licences inside the guest may name, and what its file systems rest on."""
    for name, buses in _KEPT.items():
        found = described.find(name)
        if found is not None and bus in buses:
            element.append(deepcopy(found))
    geometry = element.find("geometry")
    if geometry is not None and bus is not DiskBus.IDE:
        geometry.attrib.pop("trans", "")  # a translation is what an IDE BIOS does
    rate = attribute(described, "target", "rotation_rate")
    if rate and bus in _TURNS:
        find(element, "target").set("rotation_rate", rate)
