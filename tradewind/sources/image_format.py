# SPDX-License-Identifier: Apache-2.0
"""Tell image formats apart, and see what other files a qcow2 image would have QEMU open.

An image may come from anybody. Its header can name any file of this machine, as backing file or
as external data file, and QEMU's tools open it as soon as they open the image (CVE-2024-4467 is
one such case). So headers are read here before any of these tools sees the image.
"""

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.errors import ImageFormatError

_HEAD: Final = 64 * 1024

_VPC: Final = b"conectix"  # codespell:ignore conectix

# Magic bytes at their offset. The last column is what a person calls the format.
_MAGICS: Final = (
    (0, b"KDMV", "VMDK"),
    (0, b"COWD", "VMDK"),
    (0, b"# Disk DescriptorFile", "VMDK"),
    (0, b"vhdxfile", "VHDX"),
    (0, _VPC, "VPC (VHD)"),
    (0x40, b"\x7f\x10\xda\xbe", "VDI"),
    (0, b"QED\x00", "QED"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (257, b"ustar", "tar (OVA)"),
)
_PACKED: Final = ("ZIP", "gzip", "xz", "zstd", "tar (OVA)")

_QCOW: Final = b"QFI\xfb"

# qcow2 specification, "Header" and "Header extensions" (QEMU's docs/interop/qcow2.txt).
_EXTERNAL_DATA_BIT: Final = 1 << 2
_BACKING_FORMAT_EXTENSION: Final = 0xE2792ACA
_CHAIN_LIMIT: Final = 32


class _Header(NamedTuple):
    """What of a qcow2 header names other files."""

    backing: str
    backing_format: str
    has_external_data: bool


def detect(path: Path) -> str:
    """Name the format of an image by its magic bytes; "" when there are none."""
    head = _read_head(path)
    if head[:4] == _QCOW:
        return "qcow2" if int.from_bytes(head[4:8], "big") in (2, 3) else "QCOW (version 1)"
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return "VPC (VHD)" if _read_tail(path)[:8] == _VPC else ""


def check_format(path: Path, declared: str | None) -> str:
    """Return the format to open an image with: "qcow2" or "raw".

    A guest can write any magic bytes into a raw disk, and raw has none of its own: raw has to be
    declared, and is then believed. ImageFormatError names the file and the remedy.
    """
    if declared == "raw":
        return "raw"
    found = detect(path)
    if declared not in (None, "qcow2"):
        raise ImageFormatError(f"{path}: format {declared!r} cannot be read", _convert(path))
    if found == "qcow2":
        return "qcow2"
    if declared == "qcow2":
        raise ImageFormatError(
            f"{path} is declared as qcow2 and is {found or 'something without magic bytes'}",
            'correct "format" in the description',
        )
    raise _unfit(path, found)


def check_references(path: Path, folder: Path) -> list[Path]:
    """Refuse a qcow2 image that leads to a file outside `folder`.

    All its backing files are looked at. Returns the image and those of them that are qcow2.
    """
    chain: list[Path] = []
    current: Path | None = path
    for _ in range(_CHAIN_LIMIT):
        if current is None:
            return chain
        chain.append(current)
        current = _backing_file(current, folder)
    raise ImageFormatError(f"{path}: more than {_CHAIN_LIMIT} backing files", _convert(path))


def _backing_file(path: Path, folder: Path) -> Path | None:
    header = _read_qcow2(path)
    if header.has_external_data:
        raise ImageFormatError(f"{path} keeps its data in another file", _convert(path))
    if not header.backing:
        return None
    # As QEMU joins them. Where a symbolic link is on the way it would look for the next backing
    # file somewhere else than we do, so links are refused.
    target = Path(os.path.normpath(path.parent / header.backing))
    is_inside = target.is_relative_to(folder.resolve()) and target.resolve() == target
    # "json:…", "nbd://…" and their like are no file names for QEMU.
    if ":" in header.backing or not is_inside:
        raise ImageFormatError(
            f"{path} has a backing file outside its folder: {header.backing}",
            f"put the backing file into {folder} and run qemu-img rebase -u, or convert the "
            "image where the whole chain is at home",
        )
    if not target.is_file():
        raise ImageFormatError(f"{path}: its backing file {target} is missing", _convert(path))
    if check_format(target, header.backing_format or None) == "raw":
        return None
    return target


def _read_qcow2(path: Path) -> _Header:
    head = _read_head(path)
    try:
        version, offset, size = struct.unpack_from(">IQI", head, 4)
        features, header_size = struct.unpack_from(">Q", head, 72)[0], 72
        if version >= 3:
            header_size = struct.unpack_from(">I", head, 100)[0]
        else:
            features = 0
        # Bytes of the name that lie beyond what was read make it shorter, and thus missing.
        backing = head[offset : offset + size].decode() if offset else ""
        backing_format = _extension(head, header_size) if offset else ""
    except (struct.error, UnicodeDecodeError):
        raise ImageFormatError(f"{path}: the qcow2 header is damaged", _convert(path)) from None
    return _Header(backing, backing_format, bool(features & _EXTERNAL_DATA_BIT))


def _extension(head: bytes, position: int) -> str:
    """Find the backing format among the header extensions (type, length, data padded to 8)."""
    while True:
        kind, length = struct.unpack_from(">II", head, position)
        if kind == _BACKING_FORMAT_EXTENSION:
            return head[position + 8 : position + 8 + length].decode()
        if kind == 0:
            return ""
        position += 8 + (length + 7) // 8 * 8


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise ImageFormatError(f"{path} cannot be read: {error.strerror}") from error


def _read_tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        return file.read(512)


def _unfit(path: Path, found: str) -> ImageFormatError:
    if not found:
        return ImageFormatError(
            f"{path}: the format is unknown",
            'if it is a raw disk, say format = "raw" in the description',
        )
    if found in _PACKED:
        return ImageFormatError(f"{path} is packed ({found})", "unpack it first")
    return ImageFormatError(f"{path}: format {found} cannot be read", _convert(path))


def _convert(path: Path) -> str:
    return f"qemu-img convert -O qcow2 {path.name} {path.stem}.qcow2, with an image you trust"
