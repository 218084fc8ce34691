# SPDX-License-Identifier: Apache-2.0
"""Real disk images with known contents."""

import struct
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


BACKING_FORMAT = 0xE2792ACA
DATA_FILE = 0x44415441


def extension(kind: int, content: bytes) -> bytes:
    """Put together a qcow2 header extension."""
    return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)


def forge_qcow2(path: Path, extensions: bytes, backing: bytes = b"", size: int = 1 << 20) -> Path:
    """Write a qcow2 image whose header says what QEMU itself would not write."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)], check=True)
    header = struct.unpack(">I", path.read_bytes()[100:104])[0]
    place = header + len(extensions)
    if backing:
        patch(path, 8, struct.pack(">QI", place, len(backing)))
    patch(path, header, extensions + backing + bytes(512))
    return path


def patch(path: Path, offset: int, content: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)
