# SPDX-License-Identifier: Apache-2.0
"""Put a worker image into a dir pool of a host, through libvirt, and prove that it arrived.

Libvirt keeps no checksum of a volume, so a small volume beside the image holds it. It is written
last and removed first: while it is missing, the image is not complete.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import libvirt

from tradewind.errors import BusyError, ImageFormatError, IntegrityError, NotFoundError, OptionError
from tradewind.host import storage
from tradewind.model.storage import Volume

QCOW2_MAGIC = b"QFI\xfb"

Progress = Callable[[int, int], None]


def checksum(image: Path) -> str:
    """SHA-256 of an image file, in hexadecimal; refuses what is no qcow2 image."""
    try:
        with image.open("rb") as file:
            if file.read(4) != QCOW2_MAGIC:
                raise ImageFormatError(
                    f"worker image {image} is not a qcow2 image",
                    "convert it: qemu-img convert -O qcow2",
                )
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotFoundError(
            f"worker image {image} cannot be read ({error.strerror})",
            "build it: python -m images build worker",
        ) from None


def is_staged(connection: libvirt.virConnect, pool: str, volume: str, expected: str) -> bool:
    """Whether the pool holds this very image; refuses pools that are not of type dir."""
    kind = storage.pool_type(connection, pool)
    if kind != "dir":
        raise OptionError(
            f"storage pool “{pool}” is of type {kind}; worker images belong into a dir pool",
            "choose a dir pool, or define one: virsh pool-define-as NAME dir --target FOLDER",
        )
    note = storage.find_volume(connection, pool, _note_name(volume))
    if note is None or storage.find_volume(connection, pool, volume) is None:
        return False
    return storage.download(connection, pool, _note_name(volume)).decode().strip() == expected


def stage(
    connection: libvirt.virConnect, target: Volume, image: Path, expected: str, progress: Progress
) -> None:
    """Replace the volume by the image; IntegrityError when what arrived is not what was sent."""
    _refuse_while_used(connection, target)
    for name in (_note_name(target.name), target.name):
        storage.delete_volume(connection, target.pool, name)
    storage.create_volume(connection, target)
    storage.upload(connection, target, image, progress)
    arrived = storage.download_digest(connection, target.pool, target.name)
    if arrived != expected:
        storage.delete_volume(connection, target.pool, target.name)
        raise IntegrityError(
            f"worker image {target.name}: its SHA-256 on the host is {arrived}, not {expected}",
            "stage it again; if it fails again, look at the host's storage",
        )
    content = f"{expected}\n".encode()
    note = Volume(
        pool=target.pool, name=_note_name(target.name), capacity=len(content), format="raw"
    )
    storage.create_volume(connection, note)
    storage.upload_bytes(connection, note, content)


def _note_name(volume: str) -> str:
    return f"{volume}.sha256"


def _refuse_while_used(connection: libvirt.virConnect, target: Volume) -> None:
    found = storage.find_volume(connection, target.pool, target.name)
    if found is None:
        return
    users = [
        volume.name()
        for volume in storage.find_pool(connection, target.pool).listAllVolumes()
        if storage.describe_volume(volume).backing == found.path()
    ]
    if users:
        raise BusyError(
            f"worker image {target.name} is in use by {', '.join(users)}",
            "wait until these workers have ended, or sweep if a crash left them",
        )
