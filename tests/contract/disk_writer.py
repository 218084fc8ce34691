# SPDX-License-Identifier: Apache-2.0
"""What every disk writer promises. A writer's tests subclass this and give a `case`."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tradewind.errors import StreamError, WriterError
from tradewind.ports import DiskWriter, Range

MiB = 1 << 20


@dataclass(frozen=True)
class WriterCase:
    """A disk of `size` bytes that reads as zero, how to open it, and how to look at it."""

    size: int
    open: Callable[[], DiskWriter]
    content: Callable[[], bytes]


def expected_digest(content: bytes) -> bytes:
    """The digest of a range, written down a second time from its description."""

    def blake(data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=32).digest()

    blocks = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    return blake(b"".join(blake(block) for block in blocks))


def is_zero(content: bytes) -> bool:
    return content.count(0) == len(content)


class DiskWriterContract:
    @pytest.fixture
    def case(self) -> WriterCase:
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, 1), (0, 4 * MiB), (512, 512), (4096, 8192), (123457, 1234567), (1 * MiB, 9 * MiB)],
    )
    def test_writes_at_the_offset_and_nowhere_else(
        self, case: WriterCase, offset: int, length: int
    ) -> None:
        data = os.urandom(length)
        writer = case.open()
        writer.write(offset, memoryview(data))
        writer.flush()
        writer.close()
        content = case.content()
        assert content[offset : offset + length] == data
        assert is_zero(content[:offset])
        assert is_zero(content[offset + length :])

    def test_writes_the_last_bytes(self, case: WriterCase) -> None:
        writer = case.open()
        writer.write(case.size - 3, memoryview(b"end"))
        writer.flush()
        assert case.content()[-4:] == b"\0end"
        writer.close()

    @pytest.mark.parametrize(
        ("offset", "length"), [(0, 1), (4096, 4096), (1000, 3), (4095, 4098), (777, 5 * MiB)]
    )
    def test_zeroes_the_range_and_nothing_else(
        self, case: WriterCase, offset: int, length: int
    ) -> None:
        writer = case.open()
        data = bytearray(os.urandom(8 * MiB))
        writer.write(0, memoryview(data))
        writer.zero(offset, length)
        writer.flush()
        writer.close()
        data[offset : offset + length] = bytes(length)
        assert case.content()[: len(data)] == data

    def test_digests_of_what_is_there(self, case: WriterCase) -> None:
        writer = case.open()
        writer.write(5 * MiB + 100, memoryview(os.urandom(3 * MiB)))
        writer.flush()
        content = case.content()
        ranges = [
            Range(0, case.size),
            Range(0, 65536),
            Range(65536, 65536),
            Range(5 * MiB, 4 * MiB),
            Range(5 * MiB, 70000),
            Range(5 * MiB + 70000, 1),
            Range(6 * MiB + 7, 12345),
            Range(case.size - 1, 1),
        ]
        expected = [expected_digest(content[start : start + size]) for start, size in ranges]
        assert writer.digests(ranges) == expected
        writer.close()

    def test_no_ranges_have_no_digests(self, case: WriterCase) -> None:
        writer = case.open()
        assert writer.digests([]) == []
        writer.close()

    def test_digests_see_a_write_of_another_connection(self, case: WriterCase) -> None:
        one, other = case.open(), case.open()
        data = os.urandom(100_000)
        one.write(1000, memoryview(data))
        other.flush()
        assert other.digests([Range(1000, len(data))]) == [expected_digest(data)]
        one.close()
        other.close()

    def test_refuses_what_is_outside_and_goes_on(self, case: WriterCase) -> None:
        writer = case.open()
        with pytest.raises(WriterError):
            writer.write(case.size - 1, memoryview(b"ab"))
        with pytest.raises(WriterError):
            writer.zero(case.size, 1)
        with pytest.raises(WriterError):
            writer.digests([Range(0, case.size + 1)])
        writer.write(0, memoryview(b"alive"))
        writer.flush()
        assert case.content()[:5] == b"alive"
        writer.close()

    def test_a_closed_connection_writes_no_more(self, case: WriterCase) -> None:
        writer = case.open()
        writer.close()
        with pytest.raises(StreamError):
            writer.write(0, memoryview(b"late"))
        assert is_zero(case.content())
