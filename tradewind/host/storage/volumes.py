# SPDX-License-Identifier: Apache-2.0
"""Volumes of a host: find, make, clone, grow and delete them."""

from collections.abc import Collection

import libvirt

from tradewind.domainxml import volume as volume_xml
from tradewind.errors import HypervisorError, NotFoundError
from tradewind.host.storage import exact_size, pools, volume_users
from tradewind.model.storage import Volume
from tradewind.nearest import listed


def find_volume(
    connection: libvirt.virConnect, pool: str, name: str
) -> libvirt.virStorageVol | None:
    """Look up a volume as the pool's folder is now; None when there is none."""
    found = pools.find_pool(connection, pool)
    pools.refresh(found)
    return next((volume for volume in found.listAllVolumes() if volume.name() == name), None)


def require_volume(connection: libvirt.virConnect, pool: str, name: str) -> libvirt.virStorageVol:
    """Look up a volume; NotFoundError names the ones there are."""
    volume = find_volume(connection, pool, name)
    if volume is None:
        all_of_them = pools.find_pool(connection, pool).listAllVolumes()
        raise NotFoundError(
            f"no volume “{name}” in pool “{pool}” on {connection.getHostname()}",
            f"there are: {listed((each.name() for each in all_of_them), name)}",
        )
    return volume


def describe_volume(volume: libvirt.virStorageVol) -> volume_xml.VolumeFacts:
    """Path, format, capacity and allocation of a volume."""
    return volume_xml.parse_volume(volume.XMLDesc())


def create_volume(connection: libvirt.virConnect, volume: Volume) -> None:
    """Make an empty volume of exactly this size, which takes as little room as its pool allows.

    HypervisorError: the pool makes volumes of other sizes only; nothing is left of it.
    """
    pool = pools.find_pool(connection, volume.pool)
    first = exact_size.to_begin_with(volume)
    made = pool.createXML(_described(connection, first))
    with exact_size.required(connection, made, volume):
        # libvirt gives no volume less than it takes up (storageVolResize in storage_driver.c).
        if first != volume and describe_volume(made).allocation <= volume.capacity:
            volume_users.require_unused(connection, [made])
            made.resize(volume.capacity)


def _described(connection: libvirt.virConnect, volume: Volume) -> str:
    thick = pools.is_thick(connection, volume.pool)
    return volume_xml.volume_xml(volume, allocation=volume.capacity if thick else 0)


def create_overlay(
    connection: libvirt.virConnect, volume: Volume, backing: libvirt.virStorageVol
) -> None:
    """Make a copy-on-write volume on top of another one, of this pool or of another one.

    HypervisorError: it should be as large as what lies below, and is not. QEMU would grow that one
    when it merges the two.
    """
    base = describe_volume(backing)
    same = volume.capacity == base.capacity
    xml = volume_xml.volume_xml(
        exact_size.as_below(volume) if same else volume, backing=(base.path, base.format)
    )
    made = pools.find_pool(connection, volume.pool).createXML(xml)
    if same:
        with exact_size.required(connection, made, volume):
            pass


def require_unused(
    connection: libvirt.virConnect, volumes: Collection[Volume], *, own: str = ""
) -> None:
    """Raise BusyError when something but the run `own` uses one of the volumes that are there."""
    there = (find_volume(connection, volume.pool, volume.name) for volume in volumes)
    volume_users.require_unused(
        connection, [volume for volume in there if volume is not None], own=own
    )


def require_gone(connection: libvirt.virConnect, volumes: Collection[Volume]) -> None:
    """Raise HypervisorError when one of the volumes is there still."""
    left = [
        f"{volume.name} in pool {volume.pool}"
        for volume in volumes
        if find_volume(connection, volume.pool, volume.name) is not None
    ]
    if left:
        raise HypervisorError(
            f"still on {connection.getHostname()}: {', '.join(left)}", "try again"
        )


def clone_volume(connection: libvirt.virConnect, source: Volume, target: Volume) -> None:
    """Copy an unused volume's contents into a new one as large; blocks until done."""
    original = require_volume(connection, source.pool, source.name)
    volume_users.require_unused(connection, [original])
    pool = pools.find_pool(connection, target.pool)
    made = pool.createXMLFrom(_described(connection, target), original)
    with exact_size.required(connection, made, target):
        pass


def grow_volume(connection: libvirt.virConnect, volume: Volume) -> None:
    """Resize an unused volume to exactly the capacity in the record."""
    found = require_volume(connection, volume.pool, volume.name)
    volume_users.require_unused(connection, [found])
    if describe_volume(found).capacity != volume.capacity:  # else: a person grew it
        found.resize(volume.capacity)
    exact_size.require(connection, found, volume)


def delete_volume(connection: libvirt.virConnect, pool: str, name: str) -> bool:
    """Remove an unused volume; say whether there was one."""
    volume = find_volume(connection, pool, name)
    if volume is None:
        return False
    volume_users.require_unused(connection, [volume])
    volume.delete()
    return True


def volume_path(connection: libvirt.virConnect, volume: Volume) -> str:
    """Where the host keeps a volume."""
    return str(require_volume(connection, volume.pool, volume.name).path())
