# SPDX-License-Identifier: Apache-2.0
"""The disks of a created domain, and what it boots from.

Format: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms.
"""

from collections import Counter
from copy import deepcopy
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.document import E, Element, attribute, find
from tradewind.domainxml.machine import moving_disks, target_of
from tradewind.model.deploy import FinalDisk, FinalDomain
from tradewind.model.hardware import NETWORK, DiskBus, DiskCache, DiskIo, Hardware

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
    "wwn": frozenset({DiskBus.SCSI, DiskBus.SATA, DiskBus.IDE}),
    "vendor": frozenset({DiskBus.SCSI}),
    "product": frozenset({DiskBus.SCSI}),
    "blockio": frozenset(DiskBus),
    "geometry": frozenset({DiskBus.VIRTIO, DiskBus.SCSI, DiskBus.IDE}),
    "readonly": frozenset({DiskBus.VIRTIO, DiskBus.SCSI}),
}
_TURNS: Final = frozenset({DiskBus.SCSI, DiskBus.SATA, DiskBus.IDE})
_POLICIES: Final = ("error_policy", "rerror_policy")


def disks(source: Element, plan: FinalDomain) -> list[Element]:
    """Describe the volumes, each with what the guest knew its disk by."""
    order = boot_ranks(source, plan)
    described = _described(source)
    return [
        _disk(disk, target, plan.hardware, described.get(disk.disk_id), order.get(disk.disk_id))
        for disk, target in zip(plan.disks, _targets(plan), strict=True)
    ]


def free_cdrom_target(plan: FinalDomain) -> str:
    """Name the next target of the bus that CD-ROMs are on."""
    taken = sum(target.startswith("sd") for target in _targets(plan))
    return devices.target_name("sd", taken)


def lost_of_disks(source: Element, plan: FinalDomain) -> list[str]:
    """Say what of a disk its new bus has no place for."""
    described = _described(source)
    return [
        f"The {name} of disk {disk.disk_id} is left out: a {bus} disk has none."
        for disk in plan.disks
        for name in _KEPT
        if (found := described.get(disk.disk_id)) is not None
        and found.find(name) is not None
        and (bus := plan.hardware.bus_of(disk.disk_id)) not in _KEPT[name]
    ]


def boot_ranks(source: Element, plan: FinalDomain) -> dict[str, int]:
    """Rank what the machine boots from: disks by their source's name, NICs by MAC address.

    As asked; else the disks in the source's order, then the NICs that it booted from.
    """
    macs = [nic.mac for nic in plan.nics]
    if plan.hardware.boot_order:
        names = [
            name
            for asked in plan.hardware.boot_order
            for name in (macs if asked == NETWORK else [asked])
        ]
    else:
        names = [*_disks_by_order(source, plan), *_booted_nics(source, macs)]
    return {name: rank for rank, name in enumerate(names, start=1)}


def _described(source: Element) -> dict[str, Element]:
    return {target_of(disk): disk for disk in moving_disks(source)}


def _targets(plan: FinalDomain) -> list[str]:
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
    element = devices.disk(disk.path, disk.format, target, bus.value)
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


def _disks_by_order(source: Element, plan: FinalDomain) -> list[str]:
    """Name the disks the source boots from; the first one where it does not say."""
    described = _described(source)
    asked = {
        disk.disk_id: int(order)
        for disk in plan.disks
        if (found := described.get(disk.disk_id)) is not None
        and (order := attribute(found, "boot", "order"))
    }
    return sorted(asked, key=lambda name: asked[name]) or [plan.disks[0].disk_id]


def _booted_nics(source: Element, macs: list[str]) -> list[str]:
    asked = {
        attribute(nic, "mac", "address"): int(order)
        for nic in source.iterfind("devices/interface")
        if (order := attribute(nic, "boot", "order"))
    }
    named = sorted((mac for mac in macs if mac in asked), key=lambda mac: asked[mac])
    if not named and source.find("os/boot[@dev='network']") is not None:
        return macs[:1]
    return named


def boots_from_disk_first(source: Element) -> bool:
    """Say whether the source tries a disk before anything else."""
    first = source.find("os/boot")
    if first is not None:
        return first.get("dev") == "hd"
    ranked = {
        int(order): device
        for device in source.iterfind("devices/*")
        if (order := attribute(device, "boot", "order"))
    }
    if not ranked:
        return True
    device = ranked[min(ranked)]
    return device.tag == "disk" and device.get("device", "disk") == "disk"
