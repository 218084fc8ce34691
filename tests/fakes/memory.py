# SPDX-License-Identifier: Apache-2.0
"""A source and a writer that keep their disks in memory; the contract suites hold for them."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tradewind.errors import CheckpointLostError, NotFoundError, StreamError, WriterError
from tradewind.model.machine import Disk, MachineSummary, PowerState, VirtualMachine
from tradewind.model.storage import Checkpoint, Extent, ExtentKind
from tradewind.ports import Range, Snapshot
from tradewind.streaming.writer_service import block_digests, combined

STEP = 64 * 1024


def extents_of(content: bytes | bytearray) -> Iterator[Extent]:
    """Tell data and zero apart in steps of 64 KiB, neighbours joined."""
    start, kind = 0, None
    for at in range(0, len(content), STEP):
        part = content[at : at + STEP]
        is_zero = part.count(0) == len(part)
        here = ExtentKind.ZERO if is_zero else ExtentKind.DATA
        if kind is not None and here is not kind:
            yield Extent(start, at - start, kind)
            start = at
        kind = here
    if kind is not None:
        yield Extent(start, len(content) - start, kind)


@dataclass
class MemoryReader:
    """A DiskReader."""

    content: bytes

    def readinto(self, buffer: memoryview, offset: int) -> None:
        part = self.content[offset : offset + len(buffer)]
        if len(part) < len(buffer):
            raise StreamError(f"byte {offset} and {len(buffer)} more are not all inside the disk")
        buffer[:] = part


@dataclass
class MemoryTarget:
    """A disk that receives; it counts what was asked of it."""

    content: bytearray
    calls: list[tuple[str, int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class MemoryWriter:
    """A DiskWriter: one connection to a MemoryTarget."""

    target: MemoryTarget
    is_closed: bool = False

    def write(self, offset: int, view: memoryview) -> None:
        self._note("write", offset, len(view))
        self.target.content[offset : offset + len(view)] = view

    def zero(self, offset: int, length: int) -> None:
        self._note("zero", offset, length)
        self.target.content[offset : offset + length] = bytes(length)

    def flush(self) -> None:
        self._note("flush", 0, 1)

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        found = []
        for start, length in ranges:
            self._note("digests", start, length)
            part = memoryview(bytes(self.target.content[start : start + length]))
            found.append(combined(block_digests(part)))
        return found

    def close(self) -> None:
        self.is_closed = True

    def _note(self, call: str, offset: int, length: int) -> None:
        if self.is_closed:
            raise StreamError("the connection is closed")
        if offset < 0 or length < 1 or offset + length > len(self.target.content):
            raise WriterError(f"{offset} and {length} bytes are not inside the disk")
        with self.target.lock:
            self.target.calls.append((call, offset, length))


@dataclass
class MemorySnapshot:
    """A Snapshot."""

    contents: dict[str, bytes]
    consistency: str = "memory does not change"

    def extents(self, disk: Disk) -> Iterable[Extent]:
        return extents_of(self.contents[disk.id])

    @contextmanager
    def open(self, disk: Disk) -> Iterator[MemoryReader]:
        yield MemoryReader(self.contents[disk.id])


@dataclass
class MemorySource:
    """A DataSource with machines of two CPUs; `contents` is machine → disk → bytes."""

    contents: dict[str, dict[str, bytes]]

    def machines(self) -> Iterable[MachineSummary]:
        return [
            MachineSummary(id=name, name=name, power=PowerState.SHUT_OFF) for name in self.contents
        ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        if machine_id not in self.contents:
            raise NotFoundError(
                f"No machine {machine_id}", f"there are: {', '.join(self.contents)}"
            )
        disks = self.contents[machine_id]
        return VirtualMachine(
            id=machine_id,
            name=machine_id,
            vcpus=2,
            memory=1 << 30,
            disks=tuple(Disk(id=name, capacity=len(disks[name])) for name in disks),
        )

    @contextmanager
    def snapshot(
        self, machine: VirtualMachine, run_id: str, since: Checkpoint | None = None
    ) -> Iterator[Snapshot]:
        if since is not None:
            raise CheckpointLostError(f"{machine.name}: memory has no checkpoints")
        yield MemorySnapshot(self.contents[machine.id])
