# SPDX-License-Identifier: Apache-2.0
"""Malformed hives, each with the clause that says what is wrong."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import windows_hives
from tests.fakes.windows_hives import HEADER, PREFIX, WIN7, sealed
from tradewind.errors import InspectionError, MorphingError
from tradewind.morphing.windows.hives.hive import editing
from tradewind.morphing.windows.hives.replay import replayed

ROOT = 32
SMALL = windows_hives.with_large_value()


def key(name: str) -> int:
    """Say where the cell of a key begins, from the first bin."""
    return SMALL.index(b"nk", SMALL.index(name.encode()) - 77) - 4096 - 4


def field(cell: int, offset: int) -> int:
    """Read a field of a cell of the small hive."""
    return int(struct.unpack_from("<I", SMALL, 4096 + cell + 4 + offset)[0])


def with_field(cell: int, offset: int, value: int, form: str = "<I") -> bytes:
    hive = bytearray(SMALL)
    struct.pack_into(form, hive, 4096 + cell + 4 + offset, value)
    return bytes(hive)


OUTER, INNER = key("outer"), key("inner")
SUBKEYS, SECURITY = field(OUTER, 28), field(OUTER, 44)
VALUES = field(INNER, 40)
LARGE_VALUE, SMALL_VALUE = (field(VALUES, 4 * number) for number in (0, 1))
SEGMENTS = field(field(LARGE_VALUE, 8), 4)


def test_small_hive_is_whole() -> None:
    census = replayed("SYSTEM", SMALL).census
    assert (census.keys, census.values) == (4, 2)


def sealed_with(offset: int, value: int) -> bytes:
    hive = bytearray(SMALL)
    struct.pack_into("<I", hive, offset, value)
    return bytes(sealed(hive))


@pytest.mark.parametrize(
    ("hive", "clause"),
    [
        (b"", "does not begin with the base block"),
        (b"regf", "does not begin with the base block"),
        (SMALL[:-4096], "it is truncated"),
        (SMALL[:600], "it is truncated"),
        (SMALL[:200] + b"?" + SMALL[201:], "it was being written"),
        (sealed_with(20, 2), "its format 2.5 is unknown"),
        (sealed_with(24, 9), "its format 1.9 is unknown"),
        (sealed_with(28, 6), "its format 1.5 is unknown"),
        (sealed_with(40, 0), "it says that it has 0 bytes"),
        (sealed_with(40, 100), "it says that it has 100 bytes"),
        (sealed_with(40, 0xFFFFF000), "it says that it has 4294963200 bytes"),
        (sealed_with(36, 40), "where no cell begins"),
        (sealed_with(36, 33), "where no cell begins"),
        (sealed_with(36, 0xFFFFFFFF), "where no cell begins"),
        (SMALL.replace(b"hbin", b"nibh"), "no bin begins at 0x0"),
        (with_field(-4, 8, 0), "no bin begins at 0x0"),
        (with_field(-4, 8, 1 << 30), "its bin at 0x0 ends outside of it"),
        (with_field(OUTER, -4, 0), "has a wrong size"),
        (with_field(OUTER, -4, -12, "<i"), "has a wrong size"),
        (with_field(OUTER, -4, -(1 << 30), "<i"), "has a wrong size"),
        (with_field(OUTER, -4, 0x7FFFFFF8), "has a wrong size"),
        (with_field(SUBKEYS, 12, ROOT), "belongs to two owners"),
        (with_field(SUBKEYS, 12, OUTER), "belongs to two owners"),
        (with_field(SUBKEYS, 4, SUBKEYS), "belongs to two owners"),
        (with_field(SUBKEYS, 0, 0, "<H"), "is no list of subkeys"),
        (with_field(SUBKEYS, 2, 500, "<H"), "is no list of subkeys"),
        (with_field(SUBKEYS, 2, 1, "<H"), "says 2 subkeys and has 1"),
        (with_field(OUTER, 16, INNER), "says that it is below another one"),
        (with_field(OUTER, 20, 9), "says 9 subkeys and has 2"),
        (with_field(OUTER, 44, INNER), "says 4 keys and has 3"),
        (with_field(OUTER, 44, 0xFFFFFFFF), "says 4 keys and has 3"),
        (with_field(OUTER, 48, 0x7FFFFFF0), "a class name is said to be at 0x7ffffff0"),
        (with_field(OUTER, 48, INNER), "belongs to two owners"),
        (with_field(SECURITY, 12, 9), "says 9 keys and has 4"),
        (with_field(SECURITY, 12, 0), "says 0 keys and has 4"),
        (with_field(SECURITY, 4, 0x7FFFFFF0), "where no cell begins"),
        (with_field(SECURITY, 8, 0x7FFFFFF0), "is not in the ring"),
        (with_field(SECURITY, 4, OUTER), "is no security descriptor"),
        (with_field(SECURITY, 16, 60000), "is too short for what is in it"),
        (with_field(OUTER, 72, 5000, "<H"), "has a name that is too long"),
        (with_field(OUTER, 0, 0, "<H"), "is no key"),
        (SMALL.replace(b"inner", b"outer"), "are not in order"),
        (SMALL.replace(b"inner", b"zebra"), "are not in order"),
        (with_field(INNER, 36, 400), "is too short"),
        (with_field(VALUES, 0, OUTER), "belongs to two owners"),
        (with_field(VALUES, 4, LARGE_VALUE), "belongs to two owners"),
        (with_field(SMALL_VALUE, 0, 0, "<H"), "is no value"),
        (with_field(SMALL_VALUE, 2, 900, "<H"), "has a name that is too long"),
        (with_field(SMALL_VALUE, 4, 0x80000009), "has a wrong size"),
        (with_field(LARGE_VALUE, 4, 0x7FFFFFFF), "are not complete"),
        (with_field(LARGE_VALUE, 8, field(SEGMENTS, 0)), "is not in segments"),
        (with_field(SEGMENTS, 4, ROOT), "belongs to two owners"),
        (with_field(SEGMENTS, 0, OUTER), "belongs to two owners"),
        (with_field(SEGMENTS, 4, field(SEGMENTS, 0)), "belongs to two owners"),
    ],
)
def test_malformed_hive_is_refused(hive: bytes, clause: str) -> None:
    with pytest.raises(InspectionError, match=f"SYSTEM cannot be used: .*{clause}"):
        replayed("SYSTEM", hive)


def test_hive_that_is_nested_too_deep_is_refused() -> None:
    path = "\\".join("k" for _ in range(520))
    keys = [path[: 2 * depth + 1] for depth in range(520)]
    deep = windows_hives.clean(HEADER + "".join(f"[{PREFIX}\\{k}]\n\n" for k in keys))
    with pytest.raises(InspectionError, match="nested more than 512 deep"):
        replayed("SYSTEM", deep)


WHOLE = windows_hives.clean(WIN7)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 4), st.binary(min_size=1, max_size=4))))
def test_damage_anywhere_is_refused_or_harmless(damage: list[tuple[int, bytes]]) -> None:
    hive = bytearray(WHOLE)
    for at, content in damage:
        hive[at : at + len(content)] = content
    with suppress(MorphingError):
        whole = replayed("SYSTEM", bytes(sealed(hive)))
        with editing("SYSTEM", whole) as lent:
            lent.hive.remove("ControlSet001\\services\\msahci")
        assert replayed("SYSTEM", lent.content).census.keys <= whole.census.keys
