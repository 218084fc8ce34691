# SPDX-License-Identifier: Apache-2.0
"""Qcow2: read the header as QEMU reads it, and accept nothing in it that we do not understand.

The source is QEMU's docs/interop/qcow2.txt, and block/qcow2.c where that leaves something open: the
extensions end at the backing file's name, or else at the end of the first cluster; of two
extensions of one kind QEMU takes the last. Limits are QEMU's own.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tradewind.errors import ImageFormatError
from tradewind.sources.images.layer import (
    ImageLayer,
    Reference,
    check_capacity,
    convert,
    decrypt,
    excerpt,
)
from tradewind.sources.images.opening import ImageFile
from tradewind.units import MiB

MAGIC: Final = b"QFI\xfb"

_FIELDS: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_FIELDS_3: Final = struct.Struct(">QQQII")
_SECTOR: Final = 512

_DIRTY, _CORRUPT, _EXTERNAL_DATA, _COMPRESSION_TYPE, _EXTENDED_L2 = (1 << bit for bit in range(5))
_LAZY_REFCOUNTS: Final = 1
_BITMAPS, _RAW_EXTERNAL = 1, 2

_AES: Final = 1

_END: Final = 0
_BACKING_FORMAT: Final = 0xE2792ACA
_FEATURE_NAMES: Final = 0x6803F857
_BITMAPS_EXTENSION: Final = 0x23852875
_ENCRYPTION: Final = 0x0537BE77
_DATA_FILE: Final = 0x44415441

_NAME_LIMIT: Final = 1023
_L1_LIMIT: Final = 32 * MiB
_REFCOUNT_TABLE_LIMIT: Final = 8 * MiB
_SNAPSHOT_LIMIT: Final = 65536
_BITMAP_LIMIT: Final = 65535


class _Header(NamedTuple):
    """The fields of both versions; those of version 3 have the values that version 2 stands for."""

    magic: bytes
    version: int
    backing_offset: int
    backing_size: int
    cluster_bits: int
    size: int
    encryption: int
    l1_size: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = 72

    @property
    def cluster(self) -> int:
        """Bytes of a cluster."""
        return 1 << self.cluster_bits

    @property
    def l1_needed(self) -> int:
        """Entries of the L1 table that a disk of this size has; each stands for one L2 table."""
        entry_bits = 4 if self.incompatible & _EXTENDED_L2 else 3
        bits = self.cluster_bits + self.cluster_bits - entry_bits
        return -(-self.size >> bits)


def read(file: ImageFile) -> ImageLayer:
    """Read the disk's size and the backing file; ImageFormatError names what is not accepted."""
    header = _header(file)
    _check_features(file, header)
    _check_fields(file, header)
    check_capacity(file.path, header.size)
    _check_tables(file, header)
    head = file.read(0, header.cluster)
    extensions = _extensions(file, header, head)
    return ImageLayer(header.size, _backing(file, header, head, extensions))


def _header(file: ImageFile) -> _Header:
    head = file.read(0, _FIELDS.size + _FIELDS_3.size)
    try:
        header = _Header(*_FIELDS.unpack_from(head))
        if header.version == 3:
            header = _Header(*header[:13], *_FIELDS_3.unpack_from(head, _FIELDS.size))
    except struct.error:
        raise _damaged(file, "it ends too early") from None
    if header.magic != MAGIC or header.version not in (2, 3):
        raise _damaged(file, f"version {header.version}")
    return header


def _check_features(file: ImageFile, header: _Header) -> None:
    if header.incompatible & _EXTERNAL_DATA or header.autoclear & _RAW_EXTERNAL:
        raise ImageFormatError(f"{file.path} keeps its data in another file", convert(file.path))
    if header.encryption:
        raise _encrypted(file, header)
    if header.incompatible & _CORRUPT:
        raise ImageFormatError(
            f"{file.path} is marked as corrupt", "qemu-img check -r all, if the image is yours"
        )
    unknown = (
        header.incompatible & ~(_DIRTY | _COMPRESSION_TYPE | _EXTENDED_L2),
        header.compatible & ~_LAZY_REFCOUNTS,
        header.autoclear & ~_BITMAPS,
    )
    if any(unknown):
        raise ImageFormatError(
            f"{file.path} needs features that are not known here: bits "
            + ", ".join(f"{bits:#x}" for bits in unknown),
            convert(file.path),
        )


def _check_fields(file: ImageFile, header: _Header) -> None:
    fits: tuple[tuple[bool, str], ...] = (
        (9 <= header.cluster_bits <= 21, f"clusters of 2^{header.cluster_bits} bytes"),
        (header.refcount_order <= 6, f"refcounts of 2^{header.refcount_order} bits"),
        (header.size % _SECTOR == 0, f"a disk of {header.size} bytes, not whole sectors"),
        (header.version == 2 or header.length >= 104, f"a header of {header.length} bytes"),
        (header.length % 8 == 0, f"a header of {header.length} bytes"),
    )
    _check(file, fits)
    _check(file, ((header.length <= header.cluster, f"a header of {header.length} bytes"),))


def _check_tables(file: ImageFile, header: _Header) -> None:
    """Refuse tables that no image of this size has: a tool takes memory for what is claimed."""
    l1_bytes = header.l1_size * 8
    refcounts = header.refcount_table_clusters * header.cluster
    _check(
        file,
        (
            (l1_bytes <= _L1_LIMIT, f"an L1 table of {header.l1_size} entries"),
            (header.l1_size >= header.l1_needed, f"an L1 table of only {header.l1_size} entries"),
            (refcounts <= _REFCOUNT_TABLE_LIMIT, f"a refcount table of {refcounts} bytes"),
            (refcounts > 0, "no refcount table"),
            (header.snapshots <= _SNAPSHOT_LIMIT, f"{header.snapshots} snapshots"),
        ),
    )
    _check_place(file, header, header.l1_offset, l1_bytes, "L1 table")
    _check_place(file, header, header.refcount_table_offset, refcounts, "refcount table")
    _check_place(file, header, header.snapshots_offset, header.snapshots, "snapshot table")


def _check_place(file: ImageFile, header: _Header, offset: int, length: int, what: str) -> None:
    if not length:
        return
    if offset % header.cluster or offset < header.cluster:
        raise _damaged(file, f"the {what} is at byte {offset}")
    if offset + length > file.size:
        raise ImageFormatError(
            f"{file.path} is damaged: the {what} is beyond the end of the file",
            "copy the image here again from where it came from",
        )


def _extensions(file: ImageFile, header: _Header, head: bytes) -> dict[int, bytes]:
    """Collect the header extensions by their type; two of one type are refused."""
    found: dict[int, bytes] = {}
    for kind, content in _walk(file, header, head):
        if kind in found:
            raise ImageFormatError(
                f"{file.path} has two header extensions of type {kind:#x}: one reader takes the "
                "first, another the last",
                convert(file.path),
            )
        _KNOWN.get(kind, _refuse_unknown)(file, header, content)
        found[kind] = content
    return found


def _walk(file: ImageFile, header: _Header, head: bytes) -> Iterator[tuple[int, bytes]]:
    position, end = header.length, header.backing_offset or header.cluster
    if end > min(header.cluster, len(head)):
        raise _damaged(file, "the extensions do not end in the first cluster")
    while position + 8 <= end:
        kind, length = struct.unpack_from(">II", head, position)
        if kind == _END:
            return
        position += 8
        if length > end - position:
            raise _damaged(file, f"an extension of {length} bytes")
        yield kind, head[position : position + length]
        position += (length + 7) // 8 * 8


def _backing(
    file: ImageFile, header: _Header, head: bytes, extensions: dict[int, bytes]
) -> Reference | None:
    start, size = header.backing_offset, header.backing_size
    if not start or not size:
        return None
    end = start + size
    if start < header.length or size > _NAME_LIMIT or end > min(header.cluster, len(head)):
        raise _damaged(file, f"a backing file's name of {size} bytes at byte {start}")
    return Reference(
        name=_text(file, head[start:end], "backing file's name"),
        format=_text(file, extensions.get(_BACKING_FORMAT, b""), "backing file's format"),
    )


def _text(file: ImageFile, content: bytes, what: str) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _damaged(file, f"the {what} is no text") from None
    if not text.isprintable():
        raise _damaged(file, f"the {what} is {excerpt(text)!r}")
    return text


def _accept(file: ImageFile, header: _Header, content: bytes) -> None:
    """Accept what names no file: it is read elsewhere, or by nobody."""


def _check_bitmaps(file: ImageFile, header: _Header, content: bytes) -> None:
    """Accept dirty bitmaps, which nobody reads here, if they are where QEMU's may be."""
    if len(content) != 24:
        raise _damaged(file, f"a bitmaps extension of {len(content)} bytes")
    count, _, size, offset = struct.unpack(">IIQQ", content)
    _check(file, ((count <= _BITMAP_LIMIT, f"{count} bitmaps"),))
    _check_place(file, header, offset, size, "bitmap directory")


def _refuse_encryption(file: ImageFile, header: _Header, content: bytes) -> None:
    raise _encrypted(file, header)


def _refuse_data_file(file: ImageFile, header: _Header, content: bytes) -> None:
    raise ImageFormatError(f"{file.path} keeps its data in another file", convert(file.path))


def _refuse_unknown(file: ImageFile, header: _Header, content: bytes) -> None:
    raise ImageFormatError(
        f"{file.path} has a header extension that is not known here", convert(file.path)
    )


_KNOWN: Final[dict[int, Callable[[ImageFile, _Header, bytes], None]]] = {
    _BACKING_FORMAT: _accept,
    _FEATURE_NAMES: _accept,
    _BITMAPS_EXTENSION: _check_bitmaps,
    _ENCRYPTION: _refuse_encryption,
    _DATA_FILE: _refuse_data_file,
}


def _check(file: ImageFile, fits: tuple[tuple[bool, str], ...]) -> None:
    for is_fine, claim in fits:
        if not is_fine:
            raise _damaged(file, claim)


def _damaged(file: ImageFile, claim: str) -> ImageFormatError:
    return ImageFormatError(
        f"{file.path}: the qcow2 header is damaged: {claim}",
        "copy the image here again from where it came from; " + convert(file.path),
    )


def _encrypted(file: ImageFile, header: _Header) -> ImageFormatError:
    method = "aes" if header.encryption == _AES else "luks"
    options = f"driver=qcow2,encrypt.format={method},encrypt.key-secret=key"
    return ImageFormatError(f"{file.path} is encrypted ({method})", decrypt(file.path, options))
