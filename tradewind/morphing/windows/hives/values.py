# SPDX-License-Identifier: Apache-2.0
"""Values of the registry: their types, and their bytes as what they mean."""

import struct
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """Types that are read or written here; a hive may have any other number."""

    SZ = 1
    EXPAND_SZ = 2
    BINARY = 3
    DWORD = 4
    MULTI_SZ = 7
    QWORD = 11


@dataclass(frozen=True, slots=True)
class Value:
    """The type and the bytes of a value."""

    kind: int
    content: bytes

    def text(self) -> str:
        """Read a string up to its first NUL, behind which old memory may lie; "" for others."""
        if self.kind not in {Kind.SZ, Kind.EXPAND_SZ}:
            return ""
        return _decoded(self.content).partition("\0")[0]

    def texts(self) -> tuple[str, ...]:
        """Read a list of strings; none for a value of another type."""
        if self.kind != Kind.MULTI_SZ:
            return ()
        return tuple(text for text in _decoded(self.content).split("\0") if text)

    def number(self) -> int | None:
        """Read a number; None for a value of another type."""
        sizes = {Kind.DWORD: 4, Kind.QWORD: 8}
        if len(self.content) != sizes.get(Kind(self.kind) if self.kind in sizes else Kind.SZ, -1):
            return None
        return int.from_bytes(self.content, "little")

    def __str__(self) -> str:
        number = self.number()
        if number is not None:
            return str(number)
        return self.text() or ", ".join(self.texts()) or self.content.hex(" ")


def sz(text: str) -> Value:
    """Make a string."""
    return Value(Kind.SZ, _encoded(text))


def expand_sz(text: str) -> Value:
    """Make a string in which Windows replaces %variables%."""
    return Value(Kind.EXPAND_SZ, _encoded(text))


def multi_sz(*texts: str) -> Value:
    """Make a list of strings."""
    return Value(Kind.MULTI_SZ, b"".join(map(_encoded, texts)) + b"\0\0")


def dword(number: int) -> Value:
    """Make a number of 32 bits."""
    return Value(Kind.DWORD, struct.pack("<I", number))


def binary(content: bytes) -> Value:
    """Make a value of bytes."""
    return Value(Kind.BINARY, content)


def _encoded(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")


def _decoded(content: bytes) -> str:
    return content[: len(content) // 2 * 2].decode("utf-16-le", errors="replace")
