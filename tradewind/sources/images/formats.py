# SPDX-License-Identifier: Apache-2.0
"""The formats: which can be read, by whom, and how the others are recognised.

One more that can be read is a module with a `read`, and a line in `_READERS`; its name is that of
QEMU's block driver.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tradewind.errors import ImageFormatError
from tradewind.sources.images import qcow2, raw
from tradewind.sources.images.layer import ImageLayer, convert, decrypt, excerpt
from tradewind.sources.images.opening import ImageFile

_READERS: Final[Mapping[str, Callable[[ImageFile], ImageLayer]]] = {
    "raw": raw.read,
    "qcow2": qcow2.read,
}

_VPC: Final = b"conectix"  # codespell:ignore conectix

_LUKS: Final = "LUKS"

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
    (0, b"LUKS\xba\xbe", _LUKS),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (257, b"ustar", "tar (OVA)"),
)
_PACKED: Final = ("ZIP", "gzip", "xz", "zstd", "tar (OVA)")


def detect(file: ImageFile) -> str:
    """Name the format of an image by its magic bytes; "" when there are none."""
    head = file.read(0, 512)
    if head[:4] == qcow2.MAGIC:
        return "qcow2" if int.from_bytes(head[4:8], "big") in (2, 3) else "QCOW (version 1)"
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return name
    tail = file.read(max(0, file.size - 512), 512)  # a fixed VHD has a footer only
    return "VPC (VHD)" if tail[:8] == _VPC else ""


def format_of(file: ImageFile, declared: str, over: Path | None = None) -> str:
    """Return the format to open an image with; `declared` may be "".

    A guest can write any magic bytes into a raw disk, and raw has none of its own: raw has to be
    declared, and is then believed: of a backing file, by the image `over` it. ImageFormatError
    names the file and the remedy.
    """
    _require_bytes(file)
    if declared == "raw":
        return "raw"
    found = detect(file)
    if found in _READERS and declared in ("", *_READERS):
        return found
    if not declared or found == _LUKS:
        raise _unfit(file, found, over)
    if declared not in _READERS and found not in _READERS:
        raise ImageFormatError(
            f"{file.path}: format {excerpt(declared)!r} cannot be read", convert(file.path)
        )
    raise _mistaken(file, declared, found, over)


def _require_bytes(file: ImageFile) -> None:
    if not file.size:
        raise ImageFormatError(
            f"{file.path} is empty: not one byte",
            "copy the image here again from where it came from, or leave it out",
        )


def _mistaken(file: ImageFile, declared: str, found: str, over: Path | None) -> ImageFormatError:
    hint = "correct the format in the description"
    if over:
        readable = found in _READERS or not found
        hint = _rebase(file, over, found or "raw") if readable else convert(over)
    return ImageFormatError(
        f"{file.path} is declared as {excerpt(declared)} and is "
        f"{found or 'something without magic bytes'}",
        hint,
    )


def read(file: ImageFile, image_format: str) -> ImageLayer:
    """Read what a file says of itself; what is not understood is refused."""
    return _READERS[image_format](file)


def _rebase(file: ImageFile, over: Path, image_format: str) -> str:
    """Return how a person lets an image say the format of its backing file."""
    base = shlex.quote(os.path.relpath(file.path, over.parent))
    return (
        f"if {file.path.name} is {image_format}, let {over.name} say so, in {over.parent}: "
        f"qemu-img rebase -f qcow2 -u -b {base} -F {image_format} {shlex.quote(over.name)}"
    )


def _unfit(file: ImageFile, found: str, over: Path | None) -> ImageFormatError:
    if not found:
        return ImageFormatError(
            f"{file.path}: the format is unknown",
            _rebase(file, over, "raw")
            if over
            else 'if it is a raw disk, say format = "raw" in the description',
        )
    if found == _LUKS:
        return ImageFormatError(
            f"{file.path} is encrypted (LUKS)",
            decrypt(file.path, "driver=luks,key-secret=key")
            + '. If the guest itself encrypts its whole disk, say format = "raw"',
        )
    if found in _PACKED:
        return ImageFormatError(f"{file.path} is packed ({found})", "unpack it first")
    return ImageFormatError(f"{file.path}: format {found} cannot be read", convert(file.path))
