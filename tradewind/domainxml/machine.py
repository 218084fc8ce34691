# SPDX-License-Identifier: Apache-2.0
"""A machine as its libvirt source describes it.

Format: https://libvirt.org/formatdomain.html; the inactive XML is meant, which names the disks of
the definition and not the NBD sockets or overlays of a running job.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tradewind.domainxml.document import Element, attribute, parse, text_at
from tradewind.domainxml.dropped import dropped
from tradewind.domainxml.memory import boot_memory
from tradewind.errors import BadInputError, HypervisorError
from tradewind.model.machine import (
    Clock,
    Disk,
    Firmware,
    FirmwareKind,
    Nic,
    PowerState,
    VirtualMachine,
)

# Names under which edk2 is shipped: OVMF.fd, ovmf-x86_64.bin, /usr/share/edk2/…, uefi64.bin; .fd is
# what its build calls a flash image (edk2's FDF specification).
_UEFI_IMAGE: Final = re.compile(r"ovmf|aavmf|edk2|uefi|tianocore|\.fd\s*$", re.IGNORECASE)
LIBOSINFO: Final = "http://libosinfo.org/xmlns/libvirt/domain/1.0"


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
        memory=boot_memory(document),
        disks=tuple(_disk(disk, disk_facts(target_of(disk))) for disk in moving_disks(document)),
        nics=tuple(_nic(nic) for nic in moving_nics(document)),
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


def plugged_disks(xml: str) -> tuple[tuple[str, str], ...]:
    """Give target and bus of everything that a guest's kernel counts as a disk, moved or not.

    A passed-through LUN is one; CD-ROMs and floppies have names of their own.
    """
    found = parse(xml).iterfind("devices/disk")
    return tuple(
        (target_of(disk), _bus(disk))
        for disk in found
        if disk.get("device") in {None, "disk", "lun"}
    )


def moving_nics(document: Element) -> list[Element]:
    """List the NICs that the moved machine has, too: of a teaming pair only the lasting half.

    The other half is a function of the host's NIC with the same MAC address, which the guest uses
    while it is there: https://libvirt.org/formatdomain.html#teaming-a-virtio-hostdev-nic-pair.
    """
    nics = document.iterfind("devices/interface")
    return [nic for nic in nics if attribute(nic, "teaming", "type") != "transient"]


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


def _disk(disk: Element, facts: DiskFacts) -> Disk:
    location, backend = place_of(disk)
    _require_whole(disk, location)
    if facts.capacity <= 0:
        raise HypervisorError(
            f"disk {target_of(disk)} ({location or 'no place'}) has no bytes at its source",
            "look what became of it there, or take it away from the machine",
        )
    return Disk(
        id=target_of(disk),
        capacity=facts.capacity,
        allocation=facts.allocation,
        format=attribute(disk, "driver", "type") or "raw",
        location=location,
        backend=backend,
        bus=_bus(disk),
        sector=int(attribute(disk, "blockio", "logical_block_size") or 512),
        read_only=disk.find("readonly") is not None,
        block={"block": True, "file": False}.get(disk.get("type", "file")),
        encrypted=any(disk.find(path) is not None for path in ("encryption", "source/encryption")),
    )


def _bus(disk: Element) -> str:
    return attribute(disk, "target", "bus") or "virtio"


def _require_whole(disk: Element, location: str) -> None:
    """Refuse a disk that is a part of its file: https://libvirt.org/formatdomain.html, slices.

    Nothing that reads or writes the file here counts from where the part begins.
    """
    if disk.find("source/slices") is not None:
        raise BadInputError(
            f"disk {target_of(disk)} is a part of {location} (<slices>), which cannot be read yet",
            "copy the part to a file of its own (qemu-img convert --image-opts"
            " driver=raw,offset=…,size=…,file.filename=…), and give the machine that",
            evidence="virsh dumpxml: disk/source/slices",
        )


def place_of(disk: Element) -> tuple[str, str]:
    """Return where the source keeps a disk, and in which pool or folder."""
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
        port_group=attribute(nic, "source", "portgroup") or "",
        model=attribute(nic, "model", "type") or "",
    )


def _plug(source: Element) -> str:
    return source.get("network") or source.get("bridge") or source.get("dev") or ""


def _firmware(document: Element) -> Firmware:
    loader = document.find("os/loader")
    efi = attribute(document, "os", "firmware") == "efi"
    if not efi and not (loader is not None and _is_uefi(loader)):
        return Firmware()
    secure = loader is not None and loader.get("secure") == "yes"
    asked = document.find("os/firmware/feature[@name='secure-boot'][@enabled='yes']") is not None
    return Firmware(kind=FirmwareKind.UEFI, secure_boot=secure or asked)


def _is_uefi(loader: Element) -> bool:
    """Judge a firmware image; an image of code and variables in one is loaded as a plain ROM.

    Such a machine has no variables that last. Only the file's name tells it from a BIOS.
    """
    return loader.get("type") == "pflash" or bool(_UEFI_IMAGE.search(loader.text or ""))


def _clock(document: Element) -> Clock:
    offset = attribute(document, "clock", "offset") or "utc"
    counts_local = offset in {"localtime", "timezone"} or (
        attribute(document, "clock", "basis") == "localtime"
    )
    return Clock.LOCAL if counts_local else Clock.UTC


def _os_hint(document: Element) -> str | None:
    return attribute(document, f"metadata/{{{LIBOSINFO}}}libosinfo/{{{LIBOSINFO}}}os", "id")


@dataclass(frozen=True, slots=True)
class VariablesFile:
    """Where a host keeps the UEFI variables, and in which format; `path` may be empty."""

    path: str
    format: str


def variables_file(xml: str) -> VariablesFile:
    """Say which file the description names, in both spellings: as text, or as a <source>.

    The store has the format of the code where nothing else is said (qemuFirmwareEnsureNVRAM in
    libvirt's qemu_firmware.c), and that is raw.
    """
    document = parse(xml)
    path = text_at(document, "os/nvram") or attribute(document, "os/nvram/source", "file") or ""
    said = attribute(document, "os/nvram", "format") or attribute(document, "os/loader", "format")
    return VariablesFile(path, said or "raw")
