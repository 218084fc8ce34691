# SPDX-License-Identifier: Apache-2.0
"""Read a small file of a host through libvirt, which an account without root may ask for.

A file is read as a volume. Where it lies in no pool, a transient pool over its folder is made for
the moment of reading; ending that pool touches no file (virStoragePoolDestroy).
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final, TypeVar

import libvirt

from tradewind.domainxml import pool as pool_xml
from tradewind.domainxml.volume import VolumeFacts
from tradewind.errors import NotFoundError
from tradewind.host import storage
from tradewind.host.storage import pools
from tradewind.units import MiB

# Another run may look into the same folder, and end the pool that both use.
ATTEMPTS: Final = 3
PAUSE: Final = 0.5
# What an image of a few MiB has beside its data: qcow2's tables are four clusters of at most 2 MiB.
METADATA: Final = 8 * MiB

T = TypeVar("T")


def describe(connection: libvirt.virConnect, path: str) -> VolumeFacts:
    """Return how large a file is and of which format; NotFoundError when it cannot be seen."""
    return _with_volume(connection, path, storage.describe_volume)


def read(connection: libvirt.virConnect, path: str, limit: int, image_format: str) -> bytes:
    """Read a file of this format as it is: of an image that is not raw, all that is in its file.

    NotFoundError when it cannot be read, is of another format, or larger than `limit` bytes.
    """

    def take(volume: libvirt.virStorageVol) -> bytes:
        facts = storage.describe_volume(volume)
        if facts.format != image_format or facts.capacity > limit:
            raise NotFoundError(
                f"{path} is a {facts.format} file of {facts.capacity} bytes",
                f"only {image_format} files of at most {limit} bytes can be read",
            )
        own = 0 if image_format == "raw" else METADATA
        return storage.download_all(connection, volume, limit + own)

    return _with_volume(connection, path, take)


def _with_volume(
    connection: libvirt.virConnect, path: str, use: Callable[[libvirt.virStorageVol], T]
) -> T:
    attempt = 1
    while True:
        try:
            with _volume(connection, path) as volume:
                return use(volume)
        except libvirt.libvirtError as error:
            if attempt == ATTEMPTS:
                raise NotFoundError(f"{path} cannot be read through libvirt: {error}") from None
        attempt += 1
        time.sleep(PAUSE)


@contextlib.contextmanager
def _volume(connection: libvirt.virConnect, path: str) -> Iterator[libvirt.virStorageVol]:
    folder = str(PurePosixPath(path).parent)
    name = pools.TEMPORARY + hashlib.blake2s(folder.encode(), digest_size=6).hexdigest()
    with contextlib.ExitStack() as lent:
        lent.callback(_end, connection, name)  # also one that a crash left
        found = _lookup(connection, path)
        if found is None:
            connection.storagePoolCreateXML(pool_xml.folder_pool(name, folder), 0)
            found = _lookup(connection, path)
        if found is None:
            raise NotFoundError(f"there is no file {path} on {connection.getHostname()}")
        yield found


def _lookup(connection: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    try:
        return connection.storageVolLookupByPath(path)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _end(connection: libvirt.virConnect, name: str) -> None:
    for pool in connection.listAllStoragePools():
        if pool.name() == name:
            with contextlib.suppress(libvirt.libvirtError):
                pool.destroy()
