# SPDX-License-Identifier: Apache-2.0
"""A source and a writer that keep their disks in memory; the contract suites hold for them."""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from tradewind.errors import NotFoundError, StreamError, WriterError
from tradewind.model.machine import Disk, MachineSummary, PowerState, VirtualMachine
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.run import Run
from tradewind.model.source import GuestSeen, SourceFindings
from tradewind.model.storage import Checkpoint, Extent, ExtentKind, TrackedDisk, Tracking
from tradewind.ports import Range, Snapshot
from tradewind.streaming.writer_service import BLAKE2B, Tagger, combined

STEP = 64 * 1024
MEMORY_KEY = bytes(range(32))


def extents_of(content: bytes | bytearray, before: bytes | None = None) -> Iterator[Extent]:
    """Tell data, zero and what is as it was before apart in steps of 64 KiB, neighbours joined."""
    start, kind = 0, None
    for at in range(0, len(content), STEP):
        part = content[at : at + STEP]
        here = ExtentKind.ZERO if part.count(0) == len(part) else ExtentKind.DATA
        if before is not None and before[at : at + STEP] == part:
            here = ExtentKind.CLEAN
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

    def write(self, offset: int, view: memoryview) -> int:
        self._note("write", offset, len(view))
        self.target.content[offset : offset + len(view)] = view
        return len(view)

    def zero(self, offset: int, length: int) -> None:
        self._note("zero", offset, length)
        self.target.content[offset : offset + length] = bytes(length)

    def flush(self) -> None:
        self._note("flush", 0, 1)

    def tags(self, view: memoryview) -> list[bytes]:
        return Tagger(MEMORY_KEY, BLAKE2B).tags(view)

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        found = []
        for start, length in ranges:
            self._note("digests", start, length)
            part = memoryview(bytes(self.target.content[start : start + length]))
            found.append(combined(self.tags(part)))
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
    before: dict[str, bytes]
    since: str | None
    checkpoint: Checkpoint | None
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))
    consistency: str = "memory does not change"
    notes: tuple[str, ...] = ()

    def tracking(self, disk: Disk) -> Tracking:
        if disk.id in self.before:
            return Tracking(disk_id=disk.id, since=self.since)
        return Tracking(disk_id=disk.id, reason="nothing is known of what it was before")

    def extents(self, disk: Disk) -> Iterable[Extent]:
        return extents_of(self.contents[disk.id], self.before.get(disk.id))

    @contextmanager
    def open(self, disk: Disk) -> Iterator[MemoryReader]:
        yield MemoryReader(self.contents[disk.id])


@dataclass
class MemorySource:
    """A DataSource with machines of two CPUs; `contents` is machine → disk → bytes."""

    contents: dict[str, dict[str, bytes]]
    checkpoints: dict[str, dict[str, bytes]] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    autostart: set[str] = field(default_factory=set)
    cleaned_up_after: set[str] = field(default_factory=set)

    def machines(self) -> Iterable[MachineSummary]:
        return [
            MachineSummary(id=name, name=name, power=PowerState.SHUT_OFF) for name in self.contents
        ]

    def overview(self) -> Iterable[MachineOverview]:
        return [
            MachineOverview.of(each, partial(self.inspect, each.id), lambda _disk: "")
            for each in self.machines()
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
            autostart=machine_id in self.autostart,
        )

    def preflight_source(self, machine: VirtualMachine) -> SourceFindings:
        return SourceFindings(guest=GuestSeen(os=machine.os_hint or ""))

    @contextmanager
    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> Iterator[Snapshot]:
        now = dict(self.contents[machine.id])
        then = self.checkpoints.get(since.name, {}) if since else {}
        asked = [each.disk_id for each in since.disks] if since else []
        before = {
            name: then[name]
            for name in asked
            if name in then and name in now and len(then[name]) == len(now[name])
        }
        checkpoint = _checkpoint(machine, run) if track else None
        yield MemorySnapshot(now, before, since.name if since else None, checkpoint)
        if checkpoint is not None:
            self.checkpoints[checkpoint.name] = now

    def retire_checkpoints(
        self, machine: VirtualMachine, transfer: str, keep: Checkpoint | None
    ) -> None:
        for name in list(self.checkpoints):
            if name.endswith(f"-{machine.id}-{transfer}") and (keep is None or name != keep.name):
                del self.checkpoints[name]

    def forget_replica(
        self, machine: VirtualMachine, run: Run, last: Checkpoint | None
    ) -> tuple[str, ...]:
        before = set(self.checkpoints)
        self.retire_checkpoints(machine, run.transfer, None)
        return tuple(sorted(before - set(self.checkpoints)))

    def clean_up(self, runs: Collection[str]) -> None:
        self.cleaned_up_after.update(runs)

    def shut_down(self, machine: VirtualMachine, *, timeout: float, force: bool) -> ShutDown:
        self.off.add(machine.id)
        return ShutDown(how="memory lost its power", seconds=0)

    def start(self, machine: VirtualMachine) -> None:
        self.off.discard(machine.id)

    def start_with_host(self, machine: VirtualMachine, *, wanted: bool) -> None:
        (self.autostart.add if wanted else self.autostart.discard)(machine.id)


def _checkpoint(machine: VirtualMachine, run: Run) -> Checkpoint:
    disks = tuple(TrackedDisk(disk_id=disk.id, capacity=disk.capacity) for disk in machine.disks)
    name = f"{run.id}-{machine.id}-{run.transfer}"
    return Checkpoint(name=name, machine_id=machine.id, created=0, disks=disks)
