# SPDX-License-Identifier: Apache-2.0
"""What a format's parser says of one file, in words that all formats share."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import ImageFormatError
from tradewind.units import TiB, human_size

# Four times the largest virtual disk of VMware, Hyper-V and the big clouds (62 and 64 TiB).
LARGEST: Final = 256 * TiB


@dataclass(frozen=True, slots=True)
class Reference:
    """Another file that a header names; `format` is "" where the header does not say it."""

    name: str
    format: str


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """What one file holds: bytes of the disk, and the file under it, if any."""

    capacity: int
    backing: Reference | None = None


def check_capacity(path: Path, capacity: int) -> int:
    """Refuse a disk that nobody has."""
    if capacity > LARGEST:
        raise ImageFormatError(
            f"{path} claims a disk of {human_size(capacity)}; {human_size(LARGEST)} is the most",
            "look where the image came from: no machine has such a disk",
        )
    return capacity


def convert(path: Path) -> str:
    """Return how a person makes an image that can be read of one that cannot."""
    name = f"{path.stem}.qcow2"
    if name == path.name:
        name = f"{path.stem}-converted.qcow2"
    names = f"{shlex.quote(path.name)} {shlex.quote(name)}"
    return f"qemu-img convert -O qcow2 {names}, with an image you trust"


def decrypt(path: Path, options: str) -> str:
    """Say how a person makes a plain image of an encrypted one; `options` are the block driver's.

    Format: qemu-img(1), --object secret and --image-opts.
    """
    name = path.name.replace(",", ",,")
    source = shlex.quote(f"{options},file.filename={name}")
    return (
        "where its passphrase is, in a file KEY without a newline: qemu-img convert --object"
        f" secret,id=key,file=KEY --image-opts -O qcow2 {source}"
        f" {shlex.quote(f'{path.stem}-plain.qcow2')}; or encrypt inside the guest instead"
    )


def excerpt(text: str) -> str:
    """Show what an image says in a line, without what a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:200])
    return shown + "…" * (len(text) > 200)
