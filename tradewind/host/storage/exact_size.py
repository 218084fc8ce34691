# SPDX-License-Identifier: Apache-2.0
"""Volumes that are exactly as large as asked for.

What lies at the end of a disk has to stay there: GPT's second header, an array's metadata (md 0.90
and 1.0, firmware RAID). Seen with libvirt 9.0 and in its sources (src/storage):

    qcow2 in files     `qemu-img create` gets a size in KiB, rounded up; `qemu-img resize` one in
                       bytes, rounded up to sectors of 512; a size of 0 above another file is that
                       file's
    raw in files       truncated to the byte
    logical            whole extents of the group, rounded up (lvcreate(8), --size)
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.domainxml import volume as volume_xml
from tradewind.errors import HypervisorError, TradewindError
from tradewind.host.storage import volume_users
from tradewind.model.storage import Volume
from tradewind.units import KiB

_SECTOR: Final = 512


def to_begin_with(volume: Volume) -> Volume:
    """Describe what libvirt makes exactly, and what can be grown to the volume then."""
    if volume.format != "qcow2":
        return volume
    return volume.model_copy(update={"capacity": volume.capacity // KiB * KiB})


def as_below(volume: Volume) -> Volume:
    """Describe an overlay for which QEMU takes the size of what lies below.

    It cannot be made smaller and grown, as an empty volume can: QEMU would hide what lies below
    the part that is added.
    """
    return volume if volume.capacity % KiB == 0 else volume.model_copy(update={"capacity": 0})


def in_sectors(size: int) -> int:
    """Give the bytes of as many sectors as `size` begins."""
    return -(-size // _SECTOR) * _SECTOR


@contextlib.contextmanager
def required(
    connection: libvirt.virConnect, made: libvirt.virStorageVol, volume: Volume
) -> Iterator[None]:
    """Remove a new volume again unless it becomes what was asked for."""
    try:
        yield
        require(connection, made, volume)
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError, TradewindError):
            volume_users.require_unused(connection, [made])
            made.delete()
        raise


def require(connection: libvirt.virConnect, there: libvirt.virStorageVol, volume: Volume) -> None:
    """Raise HypervisorError when the host says another size than the volume should have.

    A last sector that is not full counts as one: QEMU shows such a file to its guest so.
    """
    found = volume_xml.parse_volume(there.XMLDesc()).capacity
    if found not in {volume.capacity, in_sectors(volume.capacity)}:
        raise HypervisorError(
            f"pool “{volume.pool}” of {connection.getHostname()} makes volume {volume.name}"
            f" {found} bytes large, and its disk has {volume.capacity}: what lies at the end of the"
            " disk (GPT, RAID) would not be at its end",
            f"map the disk to a pool of files (storage_map), or grow it on its source to {found}"
            " bytes",
            evidence=f"virsh vol-info --bytes {volume.name} {volume.pool}: Capacity: {found}",
        )
