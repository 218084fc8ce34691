# SPDX-License-Identifier: Apache-2.0
"""What is in volumes: sent to them and read from them through libvirt's streams."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import libvirt

from tradewind.errors import HypervisorError
from tradewind.host.storage import volume_users
from tradewind.host.storage.volumes import describe_volume, require_volume
from tradewind.model.storage import Volume
from tradewind.units import MiB, human_size

CHUNK: Final = 4 * MiB

# The size of a note beside a volume (tradewind/host/storage/witness.py).
NOTE: Final = 512


def upload(
    connection: libvirt.virConnect,
    volume: Volume,
    source: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Send a file into an unused volume; `progress` gets bytes done and in all."""
    total = source.stat().st_size
    with source.open("rb") as file:
        _send(connection, volume, iter(lambda: file.read(CHUNK), b""), total, progress)


def upload_bytes(connection: libvirt.virConnect, volume: Volume, content: bytes) -> None:
    """Send a small content into an unused volume."""
    _send(connection, volume, iter([content]), len(content), lambda _done, _total: None)


def overwrite_note(
    connection: libvirt.virConnect, note: libvirt.virStorageVol, content: bytes
) -> None:
    """Replace all of a note of ours: nobody has a file of its size for a disk."""
    if len(content) != NOTE or describe_volume(note).capacity != NOTE:
        raise ValueError(f"{note.name()} is no note of {NOTE} bytes")
    with lent_stream(connection) as stream:
        note.upload(stream, 0, NOTE)
        _send_all(stream, content, note.name())


def _send(
    connection: libvirt.virConnect,
    volume: Volume,
    chunks: Iterator[bytes],
    total: int,
    progress: Callable[[int, int], None],
) -> None:
    done = 0
    found = require_volume(connection, volume.pool, volume.name)
    volume_users.require_unused(connection, [found])
    with lent_stream(connection) as stream:
        found.upload(stream, 0, total)
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


def download_digest(connection: libvirt.virConnect, pool: str, name: str, size: int) -> str:
    """Read a volume of `size` bytes back; SHA-256 of them in hexadecimal."""
    digest = hashlib.sha256()
    _receive(connection, require_volume(connection, pool, name), size, digest.update)
    return digest.hexdigest()


def download_all(
    connection: libvirt.virConnect, volume: libvirt.virStorageVol, limit: int
) -> bytes:
    """Read a volume that is said to have no more than `limit` bytes, as a whole."""
    received = bytearray()
    _receive(connection, volume, limit, received.extend)
    return bytes(received)


def _receive(
    connection: libvirt.virConnect,
    volume: libvirt.virStorageVol,
    limit: int,
    take: Callable[[bytes], None],
) -> None:
    """Read no more than `limit` bytes; a host that sends more is not listened to any further."""
    left = limit
    with lent_stream(connection) as stream:
        volume.download(stream, 0, limit)
        while chunk := stream.recv(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise HypervisorError(
                    f"volume {volume.name()}: the host sends more than the"
                    f" {human_size(limit)} that it was asked for",
                    "see what is wrong with the host's libvirt",
                )
            take(chunk)
