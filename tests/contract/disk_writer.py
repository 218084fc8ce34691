# SPDX-License-Identifier: Apache-2.0
"""What every disk writer promises. A writer's tests subclass this and give a `case`."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tradewind.errors import StreamError, WriterError
from tradewind.ports import DiskWriter, Range

MiB = 1 << 20


@dataclass(frozen=True)
class WriterCase:
    """A disk of `size` bytes that reads as zero, how to open it, and how to look at it."""

    size: int
    open: Callable[[], DiskWriter]
    content: Callable[[], bytes]
    tag: Callable[[bytes], bytes]


def poly1305(key: bytes) -> Callable[[bytes], bytes]:
    """Tag blocks with another implementation than ours."""
    return partial(Poly1305.generate_tag, key)


def blake2b(key: bytes) -> Callable[[bytes], bytes]:
    return lambda block: hashlib.blake2b(block, digest_size=16, key=key).digest()


def expected_digest(content: bytes, tag: Callable[[bytes], bytes]) -> bytes:
    """The digest of a range, written down a second time from its description."""
    blocks = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    tags = [bytes(16) if is_zero(block) else tag(block) for block in blocks]
    return hashlib.blake2b(b"".join(tags), digest_size=32).digest()


def is_zero(content: bytes) -> bool:
    return content.count(0) == len(content)


def _flushed(writer: DiskWriter, ask: Callable[[], object]) -> None:
    """Ask, and see the refusal there or with the flush."""
    ask()
    writer.flush()


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
        expected = [
            expected_digest(content[start : start + size], case.tag) for start, size in ranges
        ]
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
        one.flush()
        assert other.digests([Range(1000, len(data))]) == [expected_digest(data, case.tag)]
        one.close()
        other.close()

    def test_refuses_what_is_outside_and_goes_on(self, case: WriterCase) -> None:
        writer = case.open()
        for ask in (
            lambda: writer.write(case.size - 1, memoryview(b"ab")),
            lambda: writer.zero(case.size, 1),
        ):
            with pytest.raises(WriterError):
                _flushed(writer, ask)
        with pytest.raises(WriterError):
            writer.digests([Range(0, case.size + 1)])
        writer.write(0, memoryview(b"alive"))
        writer.flush()
        assert case.content()[:5] == b"alive"
        writer.close()

    def test_many_requests_without_waiting_keep_their_order(self, case: WriterCase) -> None:
        writer = case.open()
        buffer = bytearray(70_000)
        expected = bytearray(case.size)
        for n in range(300):
            offset, length = (n * 37_717) % (4 * MiB), 1 + n * 233 % len(buffer)
            buffer[:length] = bytes([n % 255 + 1]) * length
            writer.write(offset, memoryview(buffer)[:length])
            expected[offset : offset + length] = buffer[:length]
            if n % 3 == 0:
                writer.zero(offset + 100, 5000)
                expected[offset + 100 : offset + 5100] = bytes(5000)
        writer.flush()
        assert case.content() == expected
        writer.close()

    def test_says_how_much_crossed_the_wire(self, case: WriterCase) -> None:
        writer = case.open()
        assert writer.write(0, memoryview(os.urandom(5 * MiB))) == 5 * MiB
        assert 0 < writer.write(6 * MiB, memoryview(b"tradewind" * 100_000)) <= 900_000
        writer.flush()
        assert case.content()[6 * MiB :].startswith(b"tradewind" * 100_000 + b"\0")
        writer.close()

    def test_tags_are_those_that_digests_are_made_of(self, case: WriterCase) -> None:
        writer = case.open()
        content = os.urandom(65536) + bytes(65536) + os.urandom(777)
        assert writer.tags(memoryview(content)) == [
            case.tag(content[:65536]),
            bytes(16),
            case.tag(content[131072:]),
        ]
        writer.close()

    def test_a_closed_connection_writes_no_more(self, case: WriterCase) -> None:
        writer = case.open()
        writer.close()
        with pytest.raises(StreamError):
            writer.write(0, memoryview(b"late"))
        assert is_zero(case.content())
