# SPDX-License-Identifier: Apache-2.0
"""Where built images are kept, outside the checkout, and which of them still counts."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradewind.model.record import Record

_RECORD: Final = "image.json"


class BuiltImage(Record):
    """One image in the cache; `checksum` is the SHA-256 of its first disk, in hexadecimal.

    `variables` are those of the UEFI firmware that starts it, with its boot entry.
    """

    name: str
    disks: tuple[Path, ...]
    digest: str
    checksum: str
    variables: Path | None = None


def home() -> Path:
    """Name the folder of everything built: TRADEWIND_CACHE, or ~/.cache/tradewind."""
    chosen = os.environ.get("TRADEWIND_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache" / "tradewind"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def folder_of(name: str, digest: str) -> Path:
    """Name the folder of one version of one image."""
    return home() / "images" / f"{name}-{digest}"


def find(name: str, digest: str) -> BuiltImage | None:
    """Look up a version of an image; None when it is not there, or not whole."""
    record = folder_of(name, digest) / _RECORD
    if not record.exists():
        return None
    image = BuiltImage.model_validate_json(record.read_text())
    here = image.model_copy(
        update={
            "disks": tuple(record.parent / disk.name for disk in image.disks),
            "variables": image.variables and record.parent / image.variables.name,
        }
    )
    return here if all(disk.exists() for disk in here.disks) else None


def keep(work: Path, image: BuiltImage) -> BuiltImage:
    """Turn a finished work folder into the image's folder, in one rename."""
    (work / _RECORD).write_text(image.model_dump_json(indent=2) + "\n")
    final = folder_of(image.name, image.digest)
    if final.exists():
        shutil.rmtree(final)
    work.rename(final)
    found = find(image.name, image.digest)
    assert found is not None  # noqa: S101 - written above; this tells mypy
    return found


def versions(name: str) -> Iterator[BuiltImage]:
    """Go through every version of an image that is in the cache."""
    for record in sorted(home().glob(f"images/{name}-*/{_RECORD}")):
        image = find(name, record.parent.name.removeprefix(f"{name}-"))
        if image and image.name == name:  # "guest-*" finds "guest-two-..." as well
            yield image


def superseded(name: str, digest: str) -> list[BuiltImage]:
    """List the versions of an image that its recipe no longer describes."""
    return [image for image in versions(name) if image.digest != digest]


def remove(image: BuiltImage) -> None:
    """Delete one version of an image."""
    shutil.rmtree(folder_of(image.name, image.digest))


@contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """Lend an empty folder beside the images; what is left of it at the end is removed.

    Call it under the image's lock: then any other work folder of this name is a dead builder's.
    """
    images = home() / "images"
    images.mkdir(exist_ok=True)
    work = images / f".work-{name}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of one image or key; a second builder waits here for the first."""
    locks = home() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def checksum(path: Path) -> str:
    """Sum up a file with SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
