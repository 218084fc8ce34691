# SPDX-License-Identifier: Apache-2.0
"""Malformed hives, each with the clause that says what is wrong."""

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import windows_hives
from tests.fakes.windows_hives import HEADER, PREFIX, WIN7, sealed
from tradewind.errors import InspectionError, MorphingError
from tradewind.morphing.windows.hives.hive import editing
from tradewind.morphing.windows.hives.replay import replayed

Damage = Callable[[], bytes]


@cache
def small() -> bytes:
    return windows_hives.with_large_value()


def field(cell: int, offset: int) -> int:
    """Read a field of a cell of the small hive."""
    return int(struct.unpack_from("<I", small(), 4096 + cell + 4 + offset)[0])


@cache
def places() -> dict[str, int]:
    """Say where cells begin, from the first bin."""
    hive = small()
    outer, inner = (
        hive.index(b"nk", hive.index(name) - 77) - 4096 - 4 for name in (b"outer", b"inner")
    )
    values = field(inner, 40)
    large_value, small_value = field(values, 0), field(values, 4)
    segments = field(field(large_value, 8), 4)
    return {
        "first bin": -4,
        "root": 32,
        "outer": outer,
        "inner": inner,
        "subkeys": field(outer, 28),
        "security": field(outer, 44),
        "values": values,
        "small value": small_value,
        "large value": large_value,
        "segments": segments,
        "first segment": field(segments, 0),
    }


def with_field(place: str, offset: int, value: int | str, form: str = "<I") -> Damage:
    """Write a number, or where something is, into a cell."""

    def damaged() -> bytes:
        hive = bytearray(small())
        number = places()[value] if isinstance(value, str) else value
        struct.pack_into(form, hive, 4096 + places()[place] + 4 + offset, number)
        return bytes(hive)

    return damaged


def sealed_with(offset: int, value: int) -> Damage:
    """Write a number into the base block, and its checksum."""

    def damaged() -> bytes:
        hive = bytearray(small())
        struct.pack_into("<I", hive, offset, value)
        return bytes(sealed(hive))

    return damaged


def test_small_hive_is_whole() -> None:
    census = replayed("SYSTEM", small()).census
    assert (census.keys, census.values) == (4, 2)


@pytest.mark.parametrize(
    ("damage", "clause"),
    [
        (lambda: b"", "does not begin with the base block"),
        (lambda: b"regf", "does not begin with the base block"),
        (lambda: small()[:-4096], "it is truncated"),
        (lambda: small()[:600], "it is truncated"),
        (lambda: small()[:200] + b"?" + small()[201:], "it was being written"),
        (sealed_with(20, 2), "its format 2.5 is unknown"),
        (sealed_with(24, 9), "its format 1.9 is unknown"),
        (sealed_with(28, 6), "its format 1.5 is unknown"),
        (sealed_with(40, 0), "it says that it has 0 bytes"),
        (sealed_with(40, 100), "it says that it has 100 bytes"),
        (sealed_with(40, 0xFFFFF000), "it says that it has 4294963200 bytes"),
        (sealed_with(36, 40), "where no cell begins"),
        (sealed_with(36, 33), "where no cell begins"),
        (sealed_with(36, 0xFFFFFFFF), "where no cell begins"),
        (lambda: small().replace(b"hbin", b"nibh"), "no bin begins at 0x0"),
        (with_field("first bin", 8, 0), "no bin begins at 0x0"),
        (with_field("first bin", 8, 1 << 30), "its bin at 0x0 ends outside of it"),
        (with_field("outer", -4, 0), "has a wrong size"),
        (with_field("outer", -4, -12, "<i"), "has a wrong size"),
        (with_field("outer", -4, -(1 << 30), "<i"), "has a wrong size"),
        (with_field("outer", -4, 0x7FFFFFF8), "has a wrong size"),
        (with_field("subkeys", 12, "root"), "belongs to two owners"),
        (with_field("subkeys", 12, "outer"), "belongs to two owners"),
        (with_field("subkeys", 4, "subkeys"), "belongs to two owners"),
        (with_field("subkeys", 0, 0, "<H"), "is no list of subkeys"),
        (with_field("subkeys", 2, 500, "<H"), "is no list of subkeys"),
        (with_field("subkeys", 2, 1, "<H"), "says 2 subkeys and has 1"),
        (with_field("outer", 16, "inner"), "says that it is below another one"),
        (with_field("outer", 20, 9), "says 9 subkeys and has 2"),
        (with_field("outer", 44, "inner"), "says 4 keys and has 3"),
        (with_field("outer", 44, 0xFFFFFFFF), "says 4 keys and has 3"),
        (with_field("outer", 48, 0x7FFFFFF0), "a class name is said to be at 0x7ffffff0"),
        (with_field("outer", 48, "inner"), "belongs to two owners"),
        (with_field("security", 12, 9), "says 9 keys and has 4"),
        (with_field("security", 12, 0), "says 0 keys and has 4"),
        (with_field("security", 4, 0x7FFFFFF0), "where no cell begins"),
        (with_field("security", 8, 0x7FFFFFF0), "is not in the ring"),
        (with_field("security", 4, "outer"), "is no security descriptor"),
        (with_field("security", 16, 60000), "is too short for what is in it"),
        (with_field("outer", 72, 5000, "<H"), "has a name that is too long"),
        (with_field("outer", 0, 0, "<H"), "is no key"),
        (lambda: small().replace(b"inner", b"outer"), "are not in order"),
        (lambda: small().replace(b"inner", b"zebra"), "are not in order"),
        (with_field("inner", 36, 400), "is too short"),
        (with_field("values", 0, "outer"), "belongs to two owners"),
        (with_field("values", 4, "large value"), "belongs to two owners"),
        (with_field("small value", 0, 0, "<H"), "is no value"),
        (with_field("small value", 2, 900, "<H"), "has a name that is too long"),
        (with_field("small value", 4, 0x80000009), "has a wrong size"),
        (with_field("large value", 4, 0x7FFFFFFF), "are not complete"),
        (with_field("large value", 8, "first segment"), "is not in segments"),
        (with_field("segments", 4, "root"), "belongs to two owners"),
        (with_field("segments", 0, "outer"), "belongs to two owners"),
        (with_field("segments", 4, "first segment"), "belongs to two owners"),
    ],
)
def test_malformed_hive_is_refused(damage: Damage, clause: str) -> None:
    with pytest.raises(InspectionError, match=f"SYSTEM cannot be used: .*{clause}"):
        replayed("SYSTEM", damage())


def test_hive_that_is_nested_too_deep_is_refused() -> None:
    path = "\\".join("k" for _ in range(520))
    keys = [path[: 2 * depth + 1] for depth in range(520)]
    deep = windows_hives.clean(HEADER + "".join(f"[{PREFIX}\\{k}]\n\n" for k in keys))
    with pytest.raises(InspectionError, match="nested more than 512 deep"):
        replayed("SYSTEM", deep)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=4))))
def test_damage_anywhere_is_refused_or_harmless(damage: list[tuple[int, bytes]]) -> None:
    hive = bytearray(windows_hives.clean(WIN7))
    for at, content in damage:
        hive[at : at + len(content)] = content
    with suppress(MorphingError):
        whole = replayed("SYSTEM", bytes(sealed(hive)))
        with editing("SYSTEM", whole) as lent:
            lent.hive.remove("ControlSet001\\services\\msahci")
        assert replayed("SYSTEM", lent.content).census.keys <= whole.census.keys
