# SPDX-License-Identifier: Apache-2.0
"""Real disk images with known contents."""

import subprocess
from pathlib import Path


def make_raw(path: Path, size: int, pieces: dict[int, bytes]) -> bytes:
    """Write a sparse raw image; returns what it holds."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
    return path.read_bytes()


def make_qcow2(path: Path, size: int, pieces: dict[int, bytes]) -> bytes:
    """Write a qcow2 image; returns what it holds."""
    raw = path.with_suffix(".tmp")
    content = make_raw(raw, size, pieces)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True, timeout=60
    )
    raw.unlink()
    return content
