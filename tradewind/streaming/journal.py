# SPDX-License-Identifier: Apache-2.0
"""Remember what was written and its digests, until it is proven: 48 bytes for each range."""

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from tradewind.ports import DiskWriter, Range
from tradewind.streaming.writer_service import DIGEST_SIZE
from tradewind.units import MiB

# One question to the writer: enough to be rare, little enough to be answered soon.
_BATCH_BYTES: Final = 64 * MiB
_BATCH_RANGES: Final = 1024


class WrittenRange(NamedTuple):
    """A written range and the digest of what was sent for it."""

    range: Range
    digest: bytes


class WrongRangeError(Exception):
    """A range on the destination has another digest than what was sent."""

    def __init__(self, wrong: Range) -> None:
        super().__init__(wrong)
        self.wrong = wrong


class Journal:
    """The ranges that one connection wrote since they were last proven."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._lengths = array("Q")
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, length: int, digest: bytes) -> None:
        """Remember a range that was given to the writer."""
        self._starts.append(start)
        self._lengths.append(length)
        self._digests += digest

    def prove(self, writer: DiskWriter) -> Iterator[int]:
        """Read everything back and yield the bytes proven by each question.

        WrongRangeError says which range differs.
        """
        for batch in self._batches():
            answers = writer.digests([entry.range for entry in batch])
            for entry, answer in zip(batch, answers, strict=True):
                if entry.digest != answer:
                    raise WrongRangeError(entry.range)
            yield sum(entry.range.length for entry in batch)

    def _batches(self) -> Iterator[list[WrittenRange]]:
        batch: list[WrittenRange] = []
        size = 0
        for entry in self._entries():
            batch.append(entry)
            size += entry.range.length
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_RANGES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _entries(self) -> Iterator[WrittenRange]:
        for index, start in enumerate(self._starts):
            at = index * DIGEST_SIZE
            yield WrittenRange(
                Range(start, self._lengths[index]), bytes(self._digests[at : at + DIGEST_SIZE])
            )
