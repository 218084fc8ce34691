# SPDX-License-Identifier: Apache-2.0
"""Look at every key and value of a hive: that each is where it is said to be, and only there."""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.windows.hives import base_block
from tradewind.morphing.windows.hives.cells import NOWHERE, Cells
from tradewind.morphing.windows.hives.malformed import MalformedHiveError
from tradewind.units import MiB

# Far above any hive seen: SYSTEM has 8 to 16 MiB, SOFTWARE 60 to 150.
MOST: Final = 512 * MiB
# The registry's own bound ("Registry element size limits").
_DEEPEST: Final = 512
_KEY: Final = struct.Struct("<2sHQIIIIIIIIII4I4xHH")
_SECURITY: Final = struct.Struct("<4xIIII")
_VALUE: Final = struct.Struct("<2sHIIIH2x")
_ELEMENT_SIZES: Final = {b"li": 4, b"lf": 8, b"lh": 8, b"ri": 4}
# A larger value of a hive 1.4 and later is cut into segments.
SEGMENT: Final = 16344
_INLINE: Final = 0x80000000
_TOMBSTONE: Final = 2
_SINGLE_BYTE_NAME: Final = 0x20


@dataclass(frozen=True, slots=True)
class Census:
    """How many keys and values a hive has."""

    keys: int
    values: int


def walk(content: bytes) -> Census:
    """Walk a hive; MalformedHiveError at the first thing that cannot be."""
    base = base_block.read(content)
    if base.dirty:
        raise MalformedHiveError("it was being written")
    if base.kind != base_block.HIVE or base.major != 1 or base.minor not in {3, 4, 5, 6}:
        raise MalformedHiveError(f"its format {base.major}.{base.minor} is unknown")
    if base.bins_size > MOST or base.bins_size % base_block.SIZE or not base.bins_size:
        raise MalformedHiveError(f"it says that it has {base.bins_size} bytes")
    return _Walk(Cells(content, base.bins_size), base.minor).all_of(base.root)


class _Walk:
    def __init__(self, cells: Cells, minor: int) -> None:
        self._cells = cells
        self._segmented = minor > 3
        self._keys = 0
        self._values = 0
        self._securities = Counter[int]()

    def all_of(self, root: int) -> Census:
        """Walk from the root down, without recursion: a hive says how deep it is."""
        below = [iter([root])]
        parents = [NOWHERE]
        while below:
            key = next(below[-1], None)
            if key is None:
                below.pop()
                parents.pop()
                continue
            if len(below) > _DEEPEST:
                raise MalformedHiveError(f"its keys are nested more than {_DEEPEST} deep")
            below.append(self._key(key, parents[-1]))
            parents.append(key)
        for offset, users in self._securities.items():
            self._security(offset, users)
        return Census(self._keys, self._values)

    def _key(self, offset: int, parent: int) -> Iterator[int]:
        """Look at a key and its values; return where its subkeys are."""
        cell = self._cells.take(offset, "a key")
        if len(cell) < _KEY.size or cell[:2].tobytes() != b"nk":
            raise MalformedHiveError(f"at {offset:#x} is no key")
        (_, _, _, _, up, subkeys, _, subkeys_at, _, values, values_at, *links,
         name_length, class_length) = _KEY.unpack_from(cell)  # fmt: skip
        if parent not in {NOWHERE, up}:
            raise MalformedHiveError(f"the key at {offset:#x} says that it is below another one")
        if _KEY.size + name_length > len(cell):
            raise MalformedHiveError(f"the key at {offset:#x} has a name that is too long")
        self._securities[links[0]] += 1
        if links[1] != NOWHERE:
            self._room(links[1], class_length, "a class name")
        self._keys += 1
        if values:
            self._value_list(values_at, values)
        return iter(self._all_subkeys(offset, subkeys_at, subkeys))

    def _security(self, offset: int, users: int) -> None:
        """Look at a security descriptor and its neighbours in the ring of all.

        Who removes a key writes to the neighbours, hivex unseen.
        """
        after, before, said, size = self._security_links(offset)
        if said != users:
            raise MalformedHiveError(
                f"the security descriptor at {offset:#x} says {said} keys and has {users}"
            )
        if self._security_links(after)[1] != offset or self._security_links(before)[0] != offset:
            raise MalformedHiveError(f"the security descriptor at {offset:#x} is not in the ring")
        self._require(len(self._cells.share(offset, "")), _SECURITY.size + size, offset)

    def _security_links(self, offset: int) -> tuple[int, int, int, int]:
        cell = self._cells.share(offset, "a security descriptor")
        if len(cell) < _SECURITY.size or cell[:2].tobytes() != b"sk":
            raise MalformedHiveError(f"at {offset:#x} is no security descriptor")
        after, before, users, size = _SECURITY.unpack_from(cell)
        return after, before, users, size

    def _all_subkeys(self, offset: int, list_at: int, said: int) -> list[int]:
        found = list(self._subkeys(list_at)) if said else []
        if len(found) != said:
            raise MalformedHiveError(
                f"the key at {offset:#x} says {said} subkeys and has {len(found)}"
            )
        self._require_order(offset, found)
        return found

    def _require_order(self, parent: int, keys: list[int]) -> None:
        """Refuse subkeys out of order, which Windows would not find.

        Only names in ASCII are compared: Windows has its own table of capital letters.
        """
        last = b""
        for key in keys:
            cell = self._cells.share(key, "a key")
            name = bytes(cell[_KEY.size :][: int.from_bytes(cell[72:74], "little")])
            if not cell[2] & _SINGLE_BYTE_NAME or not name.isascii():
                continue
            if name.upper() <= last:
                raise MalformedHiveError(f"the subkeys of the key at {parent:#x} are not in order")
            last = name.upper()

    def _subkeys(self, offset: int, *, nested: bool = False) -> Iterator[int]:
        """List the keys that a list names, or the lists that it names."""
        cell = self._cells.take(offset, "a list of subkeys")
        kind = bytes(cell[:2])
        count = int.from_bytes(cell[2:4], "little")
        size = _ELEMENT_SIZES.get(kind, 0)
        if not size or (nested and kind == b"ri") or 4 + count * size > len(cell):
            raise MalformedHiveError(f"at {offset:#x} is no list of subkeys")
        for at in range(4, 4 + count * size, size):
            (element,) = struct.unpack_from("<I", cell, at)
            if kind == b"ri":
                yield from self._subkeys(element, nested=True)
            else:
                yield element

    def _value_list(self, offset: int, count: int) -> None:
        cell = self._cells.take(offset, "a list of values")
        if 4 * count > len(cell):
            raise MalformedHiveError(f"the list of values at {offset:#x} is too short")
        for (value,) in struct.iter_unpack("<I", cell[: 4 * count]):
            self._value(value)
        self._values += count

    def _value(self, offset: int) -> None:
        cell = self._cells.take(offset, "a value")
        if len(cell) < _VALUE.size or cell[:2].tobytes() != b"vk":
            raise MalformedHiveError(f"at {offset:#x} is no value")
        _, name_length, size, data_at, _, flags = _VALUE.unpack_from(cell)
        if _VALUE.size + name_length > len(cell):
            raise MalformedHiveError(f"the value at {offset:#x} has a name that is too long")
        if size & _INLINE:
            if size & ~_INLINE > 4:
                raise MalformedHiveError(f"the value at {offset:#x} has a wrong size")
        elif size and not flags & _TOMBSTONE:
            self._data(data_at, size)

    def _data(self, offset: int, size: int) -> None:
        if size <= SEGMENT or not self._segmented:
            self._room(offset, size, "the data of a value")
            return
        cell = self._cells.take(offset, "the data of a value")
        if cell[:2].tobytes() != b"db":
            raise MalformedHiveError(f"the large value at {offset:#x} is not in segments")
        count, list_at = struct.unpack_from("<HI", cell, 2)
        segments = self._cells.take(list_at, "a list of segments")
        if count != -(-size // SEGMENT) or 4 * count > len(segments):
            raise MalformedHiveError(f"the segments of the data at {offset:#x} are not complete")
        for (segment,) in struct.iter_unpack("<I", segments[: 4 * count]):
            self._room(segment, min(size, SEGMENT), "a segment")
            size -= SEGMENT

    def _room(self, offset: int, size: int, what: str) -> None:
        self._require(len(self._cells.take(offset, what)), size, offset)

    def _require(self, have: int, size: int, offset: int) -> None:
        if have < size:
            raise MalformedHiveError(f"the cell at {offset:#x} is too short for what is in it")
