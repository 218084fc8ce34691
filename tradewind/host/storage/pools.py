# SPDX-License-Identifier: Apache-2.0
"""Storage pools of a host: found by name, their room, and their volumes as the folders are now."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import libvirt

from tradewind.domainxml import pool as pool_xml
from tradewind.domainxml import volume as volume_xml
from tradewind.errors import CapacityError, NotFoundError, OptionError
from tradewind.nearest import listed
from tradewind.units import MiB, human_size

# Pools through which somebody just looks into a folder: what lies there is in no pool.
TEMPORARY: Final = "tradewind-peek-"

# A pool with less room than this counts as full: one request of the writer did not fit.
FULL: Final = 8 * MiB

# Pools whose volumes are files: there qcow2 keeps holes, clones fast and carries dirty bitmaps.
# The others (logical, rbd, iscsi, …) hand out bare blocks.
FILE_POOLS: Final = frozenset({"dir", "fs", "netfs", "gluster", "vstorage"})
# Pools whose volumes have all of their room from the start. libvirt 9.0 was seen to run `lvcreate
# --size 1K --type snapshot --virtualsize 10240K` for an allocation of 0: a snapshot without an
# origin, of one extent, which overflows. With the capacity as allocation it is --size 10240K alone.
THICK: Final = frozenset({"logical"})

_NO_PATH: Final = "its volumes are no files or block devices of the host"
_NOT_MADE: Final = "libvirt makes no volumes there, it lists those that are there"
# Why the other types cannot have replicas: libvirt's drivers of storage pools (src/storage), and
# https://libvirt.org/storage.html.
_UNFIT: Final[Mapping[str, str]] = {
    "disk": "its volumes are partitions, which are never exactly as large as a disk",
    "gluster": _NOT_MADE,
    "iscsi": _NOT_MADE,
    "iscsi-direct": _NOT_MADE,
    "mpath": _NOT_MADE,
    "scsi": _NOT_MADE,
    "rbd": _NO_PATH,
    "sheepdog": _NO_PATH,
    "zfs": "libvirt cannot clone its volumes",
}
_FIT: Final = ("dir", "fs", "netfs", "vstorage", "logical")


def running(connection: libvirt.virConnect) -> list[libvirt.virStoragePool]:
    """List the pools that are running, but for those that are made for the moment of a look."""
    found = connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    return [pool for pool in found if not pool.name().startswith(TEMPORARY)]


def refresh(pool: libvirt.virStoragePool) -> None:
    """Look at a pool's folder again, unless the pool is at work: then it stays as last seen.

    Libvirt refuses a refresh while a volume is being cloned or uploaded ("has asynchronous jobs
    running", storagePoolRefresh in storage_driver.c), which another run may be doing. It stops a
    pool whose refresh was begun and failed; one that it refused to refresh goes on running.
    """
    try:
        pool.refresh()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INTERNAL_ERROR or not pool.isActive():
            raise


def volumes_now(pool: libvirt.virStoragePool) -> list[libvirt.virStorageVol]:
    """List the volumes of a pool as it is now; none when it cannot be read any more.

    Libvirt stops a pool whose refresh fails (storagePoolRefresh in storage_driver.c): a share that
    is away, for example. It then counts as any pool that is not running.
    """
    try:
        refresh(pool)
        return list(pool.listAllVolumes())
    except libvirt.libvirtError:
        if pool.isActive():
            raise
        return []


def described(volumes: Iterable[libvirt.virStorageVol]) -> Iterator[volume_xml.VolumeFacts]:
    """Describe volumes; one that is removed at this moment is left out."""
    for volume in volumes:
        try:
            yield volume_xml.parse_volume(volume.XMLDesc())
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise


def find_pool(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    """Look up a running pool; NotFoundError names the ones there are."""
    for pool in connection.listAllStoragePools():
        if pool.name() == name:
            if not pool.isActive():
                raise NotFoundError(
                    f"storage pool “{name}” on {connection.getHostname()} is not running",
                    f"start it: virsh pool-start {name}",
                )
            return pool
    there = [pool.name() for pool in connection.listAllStoragePools()]
    raise NotFoundError(
        f"no storage pool “{name}” on {connection.getHostname()}",
        f"choose one of: {listed(there, name, 'none; define one first')}",
        evidence=f"virsh pool-list --all: {listed(there, name)}",
    )


def volume_format(connection: libvirt.virConnect, pool: str) -> str:
    """Choose the format of new volumes in a pool: qcow2 in files, raw elsewhere."""
    described = pool_xml.parse_pool(find_pool(connection, pool).XMLDesc())
    return "qcow2" if described.type in FILE_POOLS else "raw"


def holds_blocks(connection: libvirt.virConnect, pool: str) -> bool:
    """Whether a pool's volumes are block devices, wherever they are.

    A pool of files may be below /dev (/dev/shm), and a device's path elsewhere.
    """
    return pool_type(connection, pool) not in FILE_POOLS


def pool_type(connection: libvirt.virConnect, pool: str) -> str:
    """Name a pool's type in libvirt's word, such as dir or logical."""
    return pool_xml.parse_pool(find_pool(connection, pool).XMLDesc()).type


def is_thick(connection: libvirt.virConnect, pool: str) -> bool:
    """Whether the volumes of a pool have all of their room from the start."""
    return pool_type(connection, pool) in THICK


def require_fit(connection: libvirt.virConnect, pool: str) -> None:
    """Raise OptionError when replicas cannot be in pools of this type."""
    kind = pool_type(connection, pool)
    if kind not in _FIT:
        why = _UNFIT.get(kind, "it is of a type that is not known")
        raise OptionError(
            f"storage pool “{pool}” on {connection.getHostname()} is of type {kind}: {why}",
            f"choose a pool of type {', '.join(_FIT)} (storage_map, default_storage_pool)",
            evidence=f"virsh pool-dumpxml {pool}: type {kind}",
        )


def available(connection: libvirt.virConnect, pool: str) -> int:
    """Bytes that are free in a pool."""
    return int(find_pool(connection, pool).info()[3])


def full_pools(connection: libvirt.virConnect, names: Collection[str]) -> tuple[str, ...]:
    """Name those of the pools that have next to no room left, as they are now."""
    for pool in names:
        refresh(find_pool(connection, pool))
    return tuple(pool for pool in sorted(names) if available(connection, pool) < FULL)


def require_room(connection: libvirt.virConnect, pool: str, needed: int, what: str) -> None:
    """Raise CapacityError when a pool cannot hold `needed` bytes."""
    free = available(connection, pool)
    if needed > free:
        raise CapacityError(
            f"storage pool “{pool}” on {connection.getHostname()} has {human_size(free)} free;"
            f" {what} needs {human_size(needed)}",
            "make room, or map the disks to a larger pool (storage_map)",
            evidence=f"virsh pool-info {pool}: Available: {human_size(free)}",
        )
