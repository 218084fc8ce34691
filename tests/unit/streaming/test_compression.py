# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from tradewind.streaming.compression import RAW, Compressor, LevelChoice, Packer, Sampler
from tradewind.streaming.writer_service import RefusedError, Unpacker, libzstd
from tradewind.units import MiB

PIECE = 4 * MiB

# Seconds per byte of packing, and what it comes to: a Debian system disk, measured.
SYSTEM_DISK = {1: (1.8e-9, 0.29), 3: (2.8e-9, 0.26), 6: (8e-9, 0.24)}
RANDOM = {1: (0.7e-9, 1.0), 3: (0.9e-9, 1.0), 6: (2e-9, 1.0)}


def levels(data: dict[int, tuple[float, float]], wire: float, pieces: int = 200) -> list[int]:
    """Play a stream of pieces; return the level of each."""
    choice = LevelChoice()
    return [_piece(choice, data, wire) for _ in range(pieces)]


def _piece(choice: LevelChoice, data: dict[int, tuple[float, float]], wire: float) -> int:
    level = choice.next(data[1][1])
    size = PIECE
    if level != RAW:
        seconds, ratio = data[level]
        size = int(PIECE * ratio)
        choice.packed(level, PIECE, size, seconds * PIECE)
    choice.sent(size, size * wire)
    return level


def usual(chosen: list[int]) -> int:
    late = chosen[len(chosen) // 2 :]
    return max(set(late), key=late.count)


@pytest.mark.parametrize(
    ("data", "wire", "level"),
    [
        pytest.param(SYSTEM_DISK, 1e-9, RAW, id="a link that is quicker than packing"),
        pytest.param(SYSTEM_DISK, 32e-9, 1, id="1 Gbit/s for four threads"),
        pytest.param(SYSTEM_DISK, 160e-9, 3, id="200 Mbit/s for four threads"),
        pytest.param(SYSTEM_DISK, 3200e-9, 6, id="10 Mbit/s for four threads"),
        pytest.param(RANDOM, 160e-9, RAW, id="data that does not shrink"),
    ],
)
def test_the_level_that_is_sent_soonest(
    data: dict[int, tuple[float, float]], wire: float, level: int
) -> None:
    assert usual(levels(data, wire)) == level


def test_probing_costs_one_piece_in_many() -> None:
    late = levels(SYSTEM_DISK, 32e-9, 1000)[500:]
    assert 0 < sum(level != 1 for level in late) <= 500 // 32 + 1


def test_a_short_stream_is_compressed_from_its_first_byte() -> None:
    assert levels(SYSTEM_DISK, 160e-9)[0] == 1


def test_a_link_that_becomes_slow_is_noticed() -> None:
    choice = LevelChoice()
    assert usual([_piece(choice, SYSTEM_DISK, 1e-9) for _ in range(200)]) == RAW
    assert usual([_piece(choice, SYSTEM_DISK, 160e-9) for _ in range(200)]) != RAW


@pytest.mark.parametrize(
    ("content", "least", "most"),
    [
        (b"tradewind" * 500_000, 0.0, 0.1),
        (os.urandom(4 * MiB), 1.0, 1.0),
        (os.urandom(2 * MiB) + bytes(2 * MiB), 0.4, 0.6),
        (os.urandom(1000), 0.0, 0.0),
    ],
)
def test_samples_tell_how_far_a_piece_shrinks(content: bytes, least: float, most: float) -> None:
    library = libzstd()
    assert library is not None
    assert least <= Sampler(library).ratio(memoryview(bytearray(content))) <= most


def test_what_is_packed_expands_to_what_it_was() -> None:
    library = libzstd()
    assert library is not None
    packer, unpacker = Packer(library), Unpacker(library)
    target = memoryview(bytearray(MiB))
    for n, level in enumerate([1, 3, 6, 1]):
        content = bytes([n]) * 1000 + os.urandom(1000) + b"tradewind" * 10_000
        packed = packer.pack(memoryview(bytearray(content)), level)
        assert len(packed) < 2000
        copy = memoryview(bytearray(packed))
        assert unpacker.expand(copy, target[: len(content)]) == len(content)
        assert target[: len(content)] == content


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    library = libzstd()
    assert library is not None
    content = memoryview(bytearray(os.urandom(MiB)))
    assert Packer(library).pack(content, 1) is content


def test_what_expands_too_far_is_refused() -> None:
    library = libzstd()
    assert library is not None
    packed = Packer(library).pack(memoryview(bytearray(MiB)), 1)
    with pytest.raises(RefusedError):
        Unpacker(library).expand(packed, memoryview(bytearray(MiB - 1)))


def test_without_the_library_everything_is_sent_as_it_is() -> None:
    content = memoryview(bytearray(MiB))
    compressor = Compressor(None)
    assert compressor.pack(content) is content
    compressor.sent(MiB, 1.0)
