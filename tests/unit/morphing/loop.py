# SPDX-License-Identifier: Apache-2.0
"""File systems made from a folder, on a loop device."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def loop_device(image: Path, content: Path, size: str = "48M") -> Iterator[str]:
    """Lend a device with an ext4 file system that has what the folder has."""
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", content, image, size], check=True)
    with attached(image) as device:
        yield device


@contextlib.contextmanager
def attached(image: Path) -> Iterator[str]:
    """Lend a loop device that shows an image."""
    shown = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    )
    device = shown.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
