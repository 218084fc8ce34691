# SPDX-License-Identifier: Apache-2.0
"""Volumes of a replica that cannot get, or do not have, the size of their disks."""

from collections.abc import Iterator

import libvirt

from tradewind.errors import CapacityError
from tradewind.host.storage import exact_size, pools, volumes
from tradewind.model.finding import Finding, warning
from tradewind.model.storage import Volume, VolumePlan


def _size(connection: libvirt.virConnect, volume: Volume) -> int:
    found = volumes.require_volume(connection, volume.pool, volume.name)
    return volumes.describe_volume(found).capacity


def require_growable(connection: libvirt.virConnect, plan: VolumePlan) -> None:
    """Refuse to grow what libvirt cannot: logical volumes, unless a person has grown them."""
    for volume in (grown.volume for grown in plan.grow):
        thick = pools.is_thick(connection, volume.pool)
        if thick and _size(connection, volume) != volume.capacity:
            raise CapacityError(
                f"the disk of volume {volume.name} grew to {volume.capacity} bytes, and libvirt"
                f" cannot grow volumes of the logical pool “{volume.pool}”",
                f"on its host: lvextend --size {volume.capacity}b"
                f" {volumes.volume_path(connection, volume)}",
            )


def larger_than_disks(connection: libvirt.virConnect, plan: VolumePlan) -> Iterator[Finding]:
    """Tell of volumes that are larger than their disks; earlier versions made such."""
    for volume in (kept.volume for kept in plan.keep):
        size = _size(connection, volume)
        if size > exact_size.in_sectors(volume.capacity):
            yield warning(
                f"volume {volume.name} has {size} bytes, and its disk {volume.capacity}: what lies"
                " at the end of the disk (GPT, RAID) is not at the end of the volume",
                f"if that matters: virsh vol-delete {volume.name} {volume.pool}, and it is made"
                " anew and sent in full",
                f"virsh vol-info --bytes {volume.name} {volume.pool}: Capacity: {size}",
            )
