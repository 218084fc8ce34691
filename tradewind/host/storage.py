# SPDX-License-Identifier: Apache-2.0
"""Storage pools and volumes of a host."""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

import libvirt

from tradewind.domainxml import pool as pool_xml
from tradewind.domainxml import volume as volume_xml
from tradewind.errors import CapacityError, HypervisorError, NotFoundError
from tradewind.model.storage import Volume
from tradewind.units import MiB, human_size

CHUNK: Final = 4 * MiB

# A pool with less room than this counts as full: one request of the writer did not fit.
FULL: Final = 8 * MiB

# Pools whose volumes are files: there qcow2 keeps holes, clones fast and carries dirty bitmaps.
# The others (logical, rbd, iscsi, …) hand out bare blocks.
FILE_POOLS: Final = frozenset({"dir", "fs", "netfs", "gluster", "vstorage"})


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
    there = ", ".join(sorted(pool.name() for pool in connection.listAllStoragePools()))
    raise NotFoundError(
        f"no storage pool “{name}” on {connection.getHostname()}",
        f"choose one of: {there or 'none; define one first'}",
        evidence=f"virsh pool-list --all: {there or 'none'}",
    )


def volume_format(connection: libvirt.virConnect, pool: str) -> str:
    """Choose the format of new volumes in a pool: qcow2 in files, raw elsewhere."""
    described = pool_xml.parse_pool(find_pool(connection, pool).XMLDesc())
    return "qcow2" if described.type in FILE_POOLS else "raw"


def pool_type(connection: libvirt.virConnect, pool: str) -> str:
    """Name a pool's type in libvirt's word, such as dir or logical."""
    return pool_xml.parse_pool(find_pool(connection, pool).XMLDesc()).type


def available(connection: libvirt.virConnect, pool: str) -> int:
    """Bytes that are free in a pool."""
    return int(find_pool(connection, pool).info()[3])


def full_pools(connection: libvirt.virConnect, pools: Collection[str]) -> tuple[str, ...]:
    """Name those of the pools that have next to no room left, as they are now."""
    for pool in pools:
        refresh(find_pool(connection, pool))
    return tuple(pool for pool in sorted(pools) if available(connection, pool) < FULL)


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


def find_volume(
    connection: libvirt.virConnect, pool: str, name: str
) -> libvirt.virStorageVol | None:
    """Look up a volume as the pool's folder is now; None when there is none."""
    found = find_pool(connection, pool)
    refresh(found)
    return next((volume for volume in found.listAllVolumes() if volume.name() == name), None)


def refresh(pool: libvirt.virStoragePool) -> None:
    """Look at a pool's folder again, unless the pool is at work: then it stays as last seen.

    Libvirt refuses a refresh while a volume is being cloned or uploaded ("has asynchronous jobs
    running", virStoragePoolRefresh in storage_driver.c), which another run may be doing.
    """
    try:
        pool.refresh()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INTERNAL_ERROR or "async" not in str(error):
            raise


def require_volume(connection: libvirt.virConnect, pool: str, name: str) -> libvirt.virStorageVol:
    """Look up a volume; NotFoundError names the ones there are."""
    volume = find_volume(connection, pool, name)
    if volume is None:
        there = ", ".join(sorted(v.name() for v in find_pool(connection, pool).listAllVolumes()))
        raise NotFoundError(
            f"no volume “{name}” in pool “{pool}” on {connection.getHostname()}",
            f"there are: {there or 'none'}",
        )
    return volume


def describe_volume(volume: libvirt.virStorageVol) -> volume_xml.VolumeFacts:
    """Path, format, capacity and allocation of a volume."""
    return volume_xml.parse_volume(volume.XMLDesc())


def create_volume(connection: libvirt.virConnect, volume: Volume) -> None:
    """Make an empty volume that takes no more room than its metadata."""
    find_pool(connection, volume.pool).createXML(volume_xml.volume_xml(volume))


def create_overlay(
    connection: libvirt.virConnect, volume: Volume, backing: libvirt.virStorageVol
) -> None:
    """Make a copy-on-write volume on top of another one, of this pool or of another one."""
    base = describe_volume(backing)
    xml = volume_xml.volume_xml(volume, backing=(base.path, base.format))
    find_pool(connection, volume.pool).createXML(xml)


def clone_volume(connection: libvirt.virConnect, source: Volume, target: Volume) -> None:
    """Copy a volume's contents into a new one; blocks until done."""
    original = require_volume(connection, source.pool, source.name)
    find_pool(connection, target.pool).createXMLFrom(volume_xml.volume_xml(target), original)


def grow_volume(connection: libvirt.virConnect, volume: Volume) -> None:
    """Resize a volume to the capacity in the record."""
    require_volume(connection, volume.pool, volume.name).resize(volume.capacity)


def delete_volume(connection: libvirt.virConnect, pool: str, name: str) -> bool:
    """Remove a volume; say whether there was one."""
    volume = find_volume(connection, pool, name)
    if volume is None:
        return False
    volume.delete()
    return True


def volume_path(connection: libvirt.virConnect, volume: Volume) -> str:
    """Where the host keeps a volume."""
    return str(require_volume(connection, volume.pool, volume.name).path())


def upload(
    connection: libvirt.virConnect,
    volume: Volume,
    source: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Send a file into a volume through libvirt; `progress` gets bytes done and in all."""
    total = source.stat().st_size
    with source.open("rb") as file:
        _send(connection, volume, iter(lambda: file.read(CHUNK), b""), total, progress)


def upload_bytes(connection: libvirt.virConnect, volume: Volume, content: bytes) -> None:
    """Send a small content into a volume."""
    _send(connection, volume, iter([content]), len(content), lambda _done, _total: None)


def _send(
    connection: libvirt.virConnect,
    volume: Volume,
    chunks: Iterator[bytes],
    total: int,
    progress: Callable[[int, int], None],
) -> None:
    done = 0
    with lent_stream(connection) as stream:
        require_volume(connection, volume.pool, volume.name).upload(stream, 0, total)
        for chunk in chunks:
            _send_all(stream, chunk, volume.name)
            done += len(chunk)
            progress(done, total)


def _send_all(stream: libvirt.virStream, chunk: bytes, name: str) -> None:
    rest = chunk
    while rest:
        sent = stream.send(rest)
        if sent < 0:
            raise HypervisorError(f"volume {name}: the upload broke off")
        rest = rest[sent:]


@contextlib.contextmanager
def lent_stream(connection: libvirt.virConnect) -> Iterator[libvirt.virStream]:
    """Lend a stream; it is finished when the block succeeds, and aborted otherwise."""
    stream = connection.newStream()
    try:
        yield stream
        stream.finish()
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise


def download(connection: libvirt.virConnect, pool: str, name: str, limit: int = MiB) -> bytes:
    """Read the beginning of a volume, at most `limit` bytes."""
    received = bytearray()
    _receive(connection, require_volume(connection, pool, name), limit, received.extend)
    return bytes(received)


def download_digest(connection: libvirt.virConnect, pool: str, name: str) -> str:
    """Read a whole volume back; SHA-256 of its bytes in hexadecimal."""
    digest = hashlib.sha256()
    _receive(connection, require_volume(connection, pool, name), 0, digest.update)
    return digest.hexdigest()


def download_all(connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> bytes:
    """Read a small volume as a whole."""
    received = bytearray()
    _receive(connection, volume, 0, received.extend)
    return bytes(received)


def _receive(
    connection: libvirt.virConnect,
    volume: libvirt.virStorageVol,
    length: int,
    take: Callable[[bytes], None],
) -> None:
    with lent_stream(connection) as stream:
        volume.download(stream, 0, length)
        while chunk := stream.recv(CHUNK):
            take(chunk)
