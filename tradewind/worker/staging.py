# SPDX-License-Identifier: Apache-2.0
"""Put a worker image into a dir pool of a host, through libvirt, and prove that it arrived.

Libvirt keeps no checksum of a volume, so a small volume beside the image holds it. It is there
before the image, and says until the end that this is not complete: a volume without one is
somebody else's, and is not replaced.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import libvirt

from tradewind.errors import (
    BusyError,
    HypervisorError,
    ImageFormatError,
    IntegrityError,
    NotFoundError,
    OptionError,
)
from tradewind.host import storage
from tradewind.model.storage import Volume
from tradewind.units import MiB

INCOMPLETE = "incomplete"
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
    noted = storage.download(connection, pool, _note_name(volume))
    return noted.decode(errors="replace").strip() == expected


def stage(
    connection: libvirt.virConnect, target: Volume, image: Path, expected: str, progress: Progress
) -> None:
    """Replace the volume by the image; IntegrityError when what arrived is not what was sent."""
    try:
        storage.require_unused(connection, [target])
    except BusyError as error:
        raise BusyError(
            f"worker image: {error.message}",
            "wait until these workers have ended, or sweep if a crash left them",
        ) from None
    _refuse_foreign(connection, target)
    _write_note(connection, target, INCOMPLETE)
    storage.delete_volume(connection, target.pool, target.name)
    storage.create_volume(connection, target)
    storage.upload(connection, target, image, progress)
    size = image.stat().st_size
    arrived = storage.download_digest(connection, target.pool, target.name, size)
    if arrived != expected:
        storage.delete_volume(connection, target.pool, target.name)
        raise IntegrityError(
            f"worker image {target.name}: its SHA-256 on the host is {arrived}, not {expected}",
            "stage it again; if it fails again, look at the host's storage",
        )
    _prove_readable(connection, target)
    _write_note(connection, target, expected)


def _prove_readable(connection: libvirt.virConnect, target: Volume) -> None:
    """Have the host's QEMU open the image, as it does for each worker's overlay.

    One that was built without zstd (Debian 11) takes the image and cannot read it.
    """
    image = storage.require_volume(connection, target.pool, target.name)
    probe = Volume(
        pool=target.pool,
        name=f"{target.name}.probe",
        capacity=storage.describe_volume(image).capacity + MiB,
        format="qcow2",
    )
    storage.delete_volume(connection, probe.pool, probe.name)
    try:
        storage.create_overlay(connection, probe, image)
    except libvirt.libvirtError as error:
        raise HypervisorError(
            f"QEMU of {connection.getHostname()} cannot open worker image {target.name}:"
            f" {error.get_error_message()}",
            "stage one without compression: qemu-img convert -O qcow2 IMAGE PLAIN, then tradewind"
            " worker-image stage PLAIN …",
        ) from None
    finally:
        storage.delete_volume(connection, probe.pool, probe.name)


def _refuse_foreign(connection: libvirt.virConnect, target: Volume) -> None:
    """Refuse to replace what no staging put there: its note is written before anything else."""
    names = (target.name, _note_name(target.name))
    there = [storage.find_volume(connection, target.pool, name) is not None for name in names]
    if there == [True, False]:
        raise BusyError(
            f"volume {target.name} in pool {target.pool} is no worker image that was staged (it has"
            f" no {names[1]} beside it)",
            "choose another name, or, when nobody needs it:"
            f" virsh vol-delete {target.name} {target.pool}",
        )


def _write_note(connection: libvirt.virConnect, target: Volume, word: str) -> None:
    content = f"{word}\n".encode()
    note = Volume(
        pool=target.pool, name=_note_name(target.name), capacity=len(content), format="raw"
    )
    storage.delete_volume(connection, note.pool, note.name)
    storage.create_volume(connection, note)
    storage.upload_bytes(connection, note, content)


def _note_name(volume: str) -> str:
    return f"{volume}.sha256"
