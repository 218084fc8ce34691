# SPDX-License-Identifier: Apache-2.0
"""A machine as its libvirt source describes it.

Format: https://libvirt.org/formatdomain.html; the inactive XML is meant, which names the disks of
the definition and not the NBD sockets or overlays of a running job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tradewind.domainxml.document import Element, attribute, parse, text_at
from tradewind.domainxml.dropped import dropped
from tradewind.errors import HypervisorError
from tradewind.model.machine import (
    Clock,
    Disk,
    Firmware,
    FirmwareKind,
    Nic,
    PowerState,
    VirtualMachine,
)
from tradewind.units import GiB, KiB, MiB, TiB

LIBOSINFO: Final = "http://libosinfo.org/xmlns/libvirt/domain/1.0"

# https://libvirt.org/formatdomain.html#memory-allocation: "b" or "bytes", "KB" 1000, "k" or
# "KiB" 1024 (the default), and so on.
_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": KiB,
    "KiB": KiB,
    "MB": 10**6,
    "M": MiB,
    "MiB": MiB,
    "GB": 10**9,
    "G": GiB,
    "GiB": GiB,
    "TB": 10**12,
    "T": TiB,
    "TiB": TiB,
}


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What the XML does not say of a disk: its size and what its source stores, in bytes."""

    capacity: int
    allocation: int | None = None


def disk_targets(xml: str) -> tuple[str, ...]:
    """Name the disks that move ("vda", "sdb"), in the order of the XML."""
    return tuple(target_of(disk) for disk in moving_disks(parse(xml)))


def parse_machine(
    xml: str,
    *,
    disk_facts: Callable[[str], DiskFacts],
    power: PowerState = PowerState.SHUT_OFF,
) -> VirtualMachine:
    """Read a domain; `disk_facts` is asked once for each disk by its target name."""
    document = parse(xml)
    return VirtualMachine(
        id=text_at(document, "uuid"),
        name=text_at(document, "name"),
        vcpus=_vcpus(document),
        memory=_memory(document),
        disks=tuple(_disk(disk, disk_facts(target_of(disk))) for disk in moving_disks(document)),
        nics=tuple(_nic(nic) for nic in document.iterfind("devices/interface")),
        firmware=_firmware(document),
        tpm=document.find("devices/tpm") is not None,
        clock=_clock(document),
        power=power,
        os_hint=_os_hint(document),
        description=xml,
        dropped=dropped(document),
    )


def moving_disks(document: Element) -> list[Element]:
    """List the disk elements whose contents move: no CD-ROM, no floppy, no passed-through LUN."""
    disks = document.iterfind("devices/disk")
    return [disk for disk in disks if disk.get("device", "disk") == "disk"]


def target_of(disk: Element) -> str:
    """Name a disk as the record does: by its target."""
    target = attribute(disk, "target", "dev")
    if target is None:
        raise HypervisorError("a disk in the source's domain XML has no target")
    return target


def _vcpus(document: Element) -> int:
    element = document.find("vcpu")
    if element is None:
        return 1
    return int(element.get("current") or element.text or 1)


def _memory(document: Element) -> int:
    amount = int(text_at(document, "memory", "0"))
    return amount * _UNITS[attribute(document, "memory", "unit") or "KiB"]


def _disk(disk: Element, facts: DiskFacts) -> Disk:
    location, backend = _place(disk)
    return Disk(
        id=target_of(disk),
        capacity=facts.capacity,
        allocation=facts.allocation,
        format=attribute(disk, "driver", "type") or "raw",
        location=location,
        backend=backend,
        bus=attribute(disk, "target", "bus") or "virtio",
        sector=int(attribute(disk, "blockio", "logical_block_size") or 512),
        encrypted=any(disk.find(path) is not None for path in ("encryption", "source/encryption")),
    )


def _place(disk: Element) -> tuple[str, str]:
    """Say where the source keeps a disk, and in which pool or folder."""
    source = disk.find("source")
    if source is None:
        return "", ""
    pool = source.get("pool", "")
    if pool:
        return f"{pool}/{source.get('volume', '')}", pool
    protocol = source.get("protocol")
    if protocol:
        name = source.get("name", "")
        return f"{protocol}:{name}", name.partition("/")[0]
    path = source.get("file") or source.get("dev") or source.get("dir") or ""
    return path, str(PurePosixPath(path).parent) if path else ""


def _nic(nic: Element) -> Nic:
    source = nic.find("source")
    network = "" if source is None else _plug(source)
    return Nic(
        mac=attribute(nic, "mac", "address") or "",
        network=network,
        model=attribute(nic, "model", "type") or "",
    )


def _plug(source: Element) -> str:
    return source.get("network") or source.get("bridge") or source.get("dev") or ""


def _firmware(document: Element) -> Firmware:
    loader = document.find("os/loader")
    efi = attribute(document, "os", "firmware") == "efi"
    pflash = loader is not None and loader.get("type") == "pflash"
    if not (efi or pflash):
        return Firmware()
    secure = loader is not None and loader.get("secure") == "yes"
    asked = document.find("os/firmware/feature[@name='secure-boot'][@enabled='yes']") is not None
    return Firmware(kind=FirmwareKind.UEFI, secure_boot=secure or asked)


def _clock(document: Element) -> Clock:
    offset = attribute(document, "clock", "offset") or "utc"
    counts_local = offset in {"localtime", "timezone"} or (
        attribute(document, "clock", "basis") == "localtime"
    )
    return Clock.LOCAL if counts_local else Clock.UTC


def _os_hint(document: Element) -> str | None:
    return attribute(document, f"metadata/{{{LIBOSINFO}}}libosinfo/{{{LIBOSINFO}}}os", "id")


def disk_locations(xml: str) -> tuple[str, ...]:
    """Say where all disks, CD-ROMs and UEFI variables of a domain are kept."""
    document = parse(xml)
    disks = tuple(_place(disk)[0] for disk in document.iterfind("devices/disk"))
    return (*disks, *filter(None, [_variables_file(document)]))


def variables_file(xml: str) -> str:
    """Say in which file the host keeps the UEFI variables; empty when it is not said."""
    return _variables_file(parse(xml))


def _variables_file(document: Element) -> str:
    """Read it in both spellings: as text, or with a <source> of its own (libvirt 8.5)."""
    return text_at(document, "os/nvram") or attribute(document, "os/nvram/source", "file") or ""
