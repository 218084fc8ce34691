# SPDX-License-Identifier: Apache-2.0
"""The copy loop's own behaviour, with disks in memory."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import pytest

from tests.fakes.memory import MemoryReader, MemoryTarget, MemoryWriter, extents_of
from tradewind.errors import (
    CancelledError,
    IntegrityError,
    StreamError,
    TradewindError,
    WriterError,
)
from tradewind.model.progress import DiskProgress
from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.ports import DiskReader, Range
from tradewind.streaming import copy_thread, disk_copy
from tradewind.streaming.copy import copy_disk, copy_disks
from tradewind.streaming.copy_thread import CopyJob

KiB, MiB = 1 << 10, 1 << 20


def content(*parts: bytes | int) -> bytes:
    """Join bytes; a number is that many zeroes."""
    return b"".join(bytes(part) if isinstance(part, int) else part for part in parts)


SOURCE = content(os.urandom(3 * MiB), 9 * MiB, os.urandom(100), 5 * MiB, os.urandom(MiB + 512))


def job(
    source: bytes,
    target: MemoryTarget,
    *,
    blank: bool = True,
    name: str = "root",
    writer: Callable[[MemoryTarget], MemoryWriter] = MemoryWriter,
    reader: Callable[[bytes], DiskReader] = MemoryReader,
) -> CopyJob:
    @contextmanager
    def open_reader() -> Iterator[DiskReader]:
        yield reader(source)

    return CopyJob(
        disk_id=name,
        capacity=len(source),
        target=TargetState.BLANK if blank else TargetState.UNKNOWN,
        extents=lambda: extents_of(source),
        open_reader=open_reader,
        open_writer=lambda: writer(target),
        request_size=MiB,
    )


def quiet(_: DiskProgress) -> None:
    """Listen to nothing."""


def calls(target: MemoryTarget, name: str) -> int:
    return sum(length for call, _, length in target.calls if call == name)


def test_a_blank_target_gets_the_data_and_no_zeroes() -> None:
    target = MemoryTarget(bytearray(len(SOURCE)))
    result = copy_disk(job(SOURCE, target), threading.Event(), quiet)
    assert target.content == SOURCE
    assert result.sent == result.verified == calls(target, "write")
    assert result.sent < 4 * MiB + 5 * 64 * KiB
    assert (result.zeroed, result.same) == (0, 0)
    assert calls(target, "zero") == 0


def test_zeroes_within_data_are_not_sent_either() -> None:
    source = bytearray(os.urandom(4 * MiB))
    source[MiB : 2 * MiB] = bytes(MiB)
    target = MemoryTarget(bytearray(len(source)))
    everything = job(bytes(source), target)
    result = copy_disk(everything, threading.Event(), quiet)
    assert target.content == source
    assert result.sent == 3 * MiB


def test_a_target_with_another_content_becomes_the_source() -> None:
    target = MemoryTarget(bytearray(os.urandom(len(SOURCE))))
    result = copy_disk(job(SOURCE, target, blank=False), threading.Event(), quiet)
    assert target.content == SOURCE
    assert result.sent + result.zeroed == result.verified == len(SOURCE)


def test_a_second_copy_sends_and_zeroes_nothing_and_flushes_what_was_there() -> None:
    target = MemoryTarget(bytearray(SOURCE))
    result = copy_disk(job(SOURCE, target, blank=False), threading.Event(), quiet)
    assert (result.sent, result.zeroed, result.verified) == (0, 0, 0)
    assert result.same == len(SOURCE)
    assert {call for call, _, _ in target.calls} == {"digests", "flush"}
    assert [call for call, _, _ in target.calls][-1] == "flush"


def test_a_small_change_costs_one_block() -> None:
    target = MemoryTarget(bytearray(SOURCE))
    changed = bytearray(SOURCE)
    changed[MiB + 5] ^= 1
    result = copy_disk(job(bytes(changed), target, blank=False), threading.Event(), quiet)
    assert target.content == changed
    assert result.sent == result.verified == 64 * KiB
    assert result.same == len(SOURCE) - 64 * KiB


def test_what_the_source_zeroed_is_zeroed() -> None:
    target = MemoryTarget(bytearray(SOURCE))
    changed = content(2 * MiB, SOURCE[2 * MiB :])
    result = copy_disk(job(changed, target, blank=False), threading.Event(), quiet)
    assert target.content == changed
    assert (result.sent, result.zeroed) == (0, 2 * MiB)


@dataclass
class Pool:
    """Where targets have their room; what is zero takes none."""

    size: int
    targets: list[MemoryTarget] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def target(self, held: bytes) -> MemoryTarget:
        self.targets.append(MemoryTarget(bytearray(held)))
        return self.targets[-1]

    def writer(self, target: MemoryTarget) -> MemoryWriter:
        return PooledWriter(target, pool=self)

    def used(self) -> int:
        contents = [target.content for target in self.targets]
        return sum(
            MiB for each in contents for at in range(0, len(each), MiB) if any(each[at : at + MiB])
        )


@dataclass
class PooledWriter(MemoryWriter):
    """A writer whose pool can be full; it takes a while to zero."""

    pool: Pool = field(default_factory=lambda: Pool(0))

    def write(self, offset: int, view: memoryview) -> int:
        with self.pool.lock:
            is_new = not any(self.target.content[offset : offset + MiB])
            if is_new and self.pool.used() + MiB > self.pool.size:
                raise WriterError("No space left on device")
            return super().write(offset, view)

    def zero(self, offset: int, length: int) -> None:
        time.sleep(0.02)
        super().zero(offset, length)


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_room_is_made_before_it_is_taken(connections: int) -> None:
    """The pool is full; what the source zeroed lies behind what it wrote, and on another disk."""
    pool = Pool(6 * MiB)
    new, kept = os.urandom(4 * MiB), os.urandom(2 * MiB)
    one = pool.target(content(4 * MiB, os.urandom(2 * MiB), 8 * MiB))
    other = pool.target(content(os.urandom(2 * MiB), kept))
    jobs = [
        job(content(new, 10 * MiB), one, blank=False, writer=pool.writer),
        job(content(2 * MiB, kept), other, blank=False, name="data", writer=pool.writer),
    ]
    results = copy_disks(jobs, threading.Event(), quiet, connections)
    assert one.content == content(new, 10 * MiB)
    assert other.content == content(2 * MiB, kept)
    assert [result.sent for result in results] == [4 * MiB, 0]


def test_no_data_is_written_where_room_cannot_be_made() -> None:
    opened: list[MemoryWriter] = []

    class Broken(MemoryWriter):
        def zero(self, offset: int, length: int) -> None:
            raise WriterError("the disk is gone")

    def opening(target: MemoryTarget) -> MemoryWriter:
        opened.append(Broken(target))
        return opened[-1]

    target = MemoryTarget(bytearray(os.urandom(8 * MiB)))
    broken = job(content(os.urandom(4 * MiB), 4 * MiB), target, blank=False, writer=opening)
    with pytest.raises(WriterError, match="the disk is gone"):
        copy_disk(broken, threading.Event(), quiet, connections=4)
    assert calls(target, "write") == 0
    assert all(writer.is_closed for writer in opened)


def test_more_zero_ranges_than_are_remembered_are_zeroed_in_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_copy, "_REMEMBERED", 2)
    source = content(*(part for _ in range(5) for part in (os.urandom(MiB), MiB)))
    target = MemoryTarget(bytearray(os.urandom(len(source))))
    copy_disk(job(source, target, blank=False), threading.Event(), quiet, connections=1)
    assert target.content == source
    order = [call for call, _, _ in target.calls if call in ("zero", "write")]
    assert order == ["zero"] * 2 + ["write", "write", "write", "zero"] + ["write", "zero"] * 2


def test_everything_is_flushed_before_it_is_read_back() -> None:
    target = MemoryTarget(bytearray(len(SOURCE)))
    copy_disk(job(SOURCE, target), threading.Event(), quiet, connections=1)
    order = [call for call, _, _ in target.calls]
    assert order.index("flush") > max(n for n, call in enumerate(order) if call == "write")
    assert order.index("flush") < order.index("digests")


def test_a_full_journal_is_proven_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_thread, "_JOURNAL_LIMIT", 2)
    source = os.urandom(10 * MiB)
    target = MemoryTarget(bytearray(len(source)))
    result = copy_disk(job(source, target), threading.Event(), quiet, connections=1)
    assert target.content == source
    assert result.verified == len(source)
    assert calls(target, "flush") == 6


class ForgetfulWriter(MemoryWriter):
    """Loses a bit when it is told to make everything durable."""

    def flush(self) -> None:
        super().flush()
        self.target.content[2 * MiB + 3] ^= 1


def test_what_changed_between_flush_and_proof_is_found() -> None:
    target = MemoryTarget(bytearray(len(SOURCE)))
    broken = job(SOURCE, target, writer=ForgetfulWriter)
    with pytest.raises(IntegrityError) as caught:
        copy_disk(broken, threading.Event(), quiet, connections=1)
    assert "Disk root" in caught.value.message
    assert f"bytes {2 * MiB} to {3 * MiB - 1}" in caught.value.message


@dataclass
class FaultyReader(MemoryReader):
    """Fails at its third read."""

    reads: int = 0

    def readinto(self, buffer: memoryview, offset: int) -> None:
        self.reads += 1
        if self.reads == 3:
            raise StreamError(f"the source broke at {offset}")
        super().readinto(buffer, offset)


@dataclass
class HangingReader(MemoryReader):
    """Hangs until it is interrupted, as a socket does."""

    released: threading.Event = field(default_factory=threading.Event)

    def readinto(self, buffer: memoryview, offset: int) -> None:
        self.released.wait(60)
        raise StreamError("interrupted")

    def interrupt(self) -> None:
        self.released.set()


def test_the_first_error_wins_and_ends_the_other_disks() -> None:
    one, other = (MemoryTarget(bytearray(len(SOURCE))) for _ in range(2))
    jobs = [
        job(SOURCE, one, name="root", reader=FaultyReader),
        job(SOURCE, other, name="data", reader=HangingReader),
    ]
    started = time.monotonic()
    with pytest.raises(StreamError, match="the source broke"):
        copy_disks(jobs, threading.Event(), quiet)
    assert time.monotonic() - started < 30
    assert calls(other, "write") == 0


def test_a_stop_ends_a_hanging_read() -> None:
    stop = threading.Event()
    target = MemoryTarget(bytearray(len(SOURCE)))
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        copy_disk(job(SOURCE, target, reader=HangingReader), stop, quiet)
    assert time.monotonic() - started < 30
    _assert_no_threads()


@dataclass
class DeafReader(MemoryReader):
    """Hangs and cannot be interrupted."""

    awake: ClassVar[threading.Event]

    def readinto(self, buffer: memoryview, offset: int) -> None:
        self.awake.wait(60)
        super().readinto(buffer, offset)


def test_a_stop_does_not_wait_for_what_cannot_be_interrupted_and_lets_it_write_no_more() -> None:
    stop = threading.Event()
    target = MemoryTarget(bytearray(len(SOURCE)))
    threading.Timer(0.2, stop.set).start()
    DeafReader.awake = threading.Event()
    with pytest.raises(CancelledError):
        copy_disk(job(SOURCE, target, reader=DeafReader), stop, quiet, connections=1)
    DeafReader.awake.set()
    _assert_no_threads()
    assert calls(target, "write") == 0


class Termination(BaseException):
    """As Prefect raises it into the main thread."""


def test_a_signal_in_the_main_thread_ends_everything() -> None:
    def terminate(*_: object) -> None:
        raise Termination

    target = MemoryTarget(bytearray(len(SOURCE)))
    before = signal.signal(signal.SIGALRM, terminate)
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Termination):
            copy_disk(job(SOURCE, target, reader=HangingReader), threading.Event(), quiet)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 30
    _assert_no_threads()


@dataclass
class SlowReader(MemoryReader):
    def readinto(self, buffer: memoryview, offset: int) -> None:
        time.sleep(0.15)
        super().readinto(buffer, offset)


def test_progress_is_told_by_time_in_the_calling_thread_and_ends_complete() -> None:
    source = os.urandom(16 * MiB)
    target = MemoryTarget(bytearray(len(source)))
    heard: list[tuple[DiskProgress, int]] = []

    def listen(progress: DiskProgress) -> None:
        heard.append((progress, threading.get_ident()))

    slow = job(source, target, reader=SlowReader)
    copy_disk(slow, threading.Event(), listen, connections=2)
    assert {thread for _, thread in heard} == {threading.get_ident()}
    assert 2 <= len(heard) <= 6
    done = [progress.done for progress, _ in heard]
    assert done == sorted(done)
    last = heard[-1][0]
    assert (last.total, last.done, last.sent) == (len(source), len(source), len(source))


def test_more_disks_than_connections_take_turns() -> None:
    open_now: list[str] = []
    most = 0
    lock = threading.Lock()

    @dataclass
    class CountedReader(MemoryReader):
        def readinto(self, buffer: memoryview, offset: int) -> None:
            nonlocal most
            with lock:
                open_now.append("x")
                most = max(most, len(open_now))
            time.sleep(0.01)
            super().readinto(buffer, offset)
            with lock:
                open_now.pop()

    targets = [MemoryTarget(bytearray(len(SOURCE))) for _ in range(5)]
    jobs = [
        job(SOURCE, target, name=f"disk{n}", reader=CountedReader)
        for n, target in enumerate(targets)
    ]
    results = copy_disks(jobs, threading.Event(), quiet, connections=3)
    assert [result.disk_id for result in results] == [f"disk{n}" for n in range(5)]
    assert all(target.content == SOURCE for target in targets)
    assert most <= 3


def test_a_lane_that_is_free_goes_to_the_disk_with_the_most_left() -> None:
    working: dict[str, set[int]] = {"small": set(), "large": set()}

    def open_writer(name: str, target: MemoryTarget) -> MemoryWriter:
        working[name].add(threading.get_ident())
        return MemoryWriter(target)

    sizes = {"small": MiB, "large": 8 * MiB}
    sources = {name: os.urandom(size) for name, size in sizes.items()}
    targets = {name: MemoryTarget(bytearray(size)) for name, size in sizes.items()}
    jobs = [
        job(
            sources[name],
            targets[name],
            name=name,
            reader=SlowReader if name == "large" else MemoryReader,
            writer=partial(open_writer, name),
        )
        for name in sizes
    ]
    results = copy_disks(jobs, threading.Event(), quiet, connections=2)
    assert all(targets[name].content == sources[name] for name in sizes)
    assert [result.verified for result in results] == list(sizes.values())
    assert len(working["large"]) == 2


def test_a_disk_gets_no_more_lanes_than_it_has_work() -> None:
    writers: list[MemoryWriter] = []

    def open_writer(target: MemoryTarget) -> MemoryWriter:
        writers.append(MemoryWriter(target))
        return writers[-1]

    source = os.urandom(2 * MiB)
    target = MemoryTarget(bytearray(len(source)))
    copy_disk(job(source, target, writer=open_writer), threading.Event(), quiet, connections=8)
    assert len(writers) == 2


def test_a_copy_ends_when_there_is_less_than_was_counted() -> None:
    """The first walk tells all of the disk as data, the second one knows where it is zero."""
    source = content(os.urandom(MiB), 3 * MiB)
    target = MemoryTarget(bytearray(len(source)))
    walks = iter([[Extent(0, 4 * MiB, ExtentKind.DATA)], list(extents_of(source))])

    def extents() -> Iterator[Extent]:
        yield from next(walks)

    counted = replace(job(source, target), extents=extents)
    stop = threading.Event()
    patience = threading.Timer(20, stop.set)
    patience.start()
    result = copy_disk(counted, stop, quiet)
    patience.cancel()
    assert target.content == source
    assert result.sent == MiB


def test_a_disk_with_nothing_to_do_is_told_once_and_flushed() -> None:
    target = MemoryTarget(bytearray(MiB))
    heard: list[DiskProgress] = []
    untouched = job(bytes(MiB), target, reader=None)  # type: ignore[arg-type]
    result = copy_disk(untouched, threading.Event(), heard.append, connections=2)
    assert [(progress.total, progress.done) for progress in heard] == [(0, 0)]
    assert result.sent == 0
    assert [call for call, _, _ in target.calls] == ["flush"]


def test_every_disk_is_flushed_whatever_there_was_to_do() -> None:
    """An execution that was killed may have written to any of them and flushed none."""
    sources = [os.urandom(MiB), SOURCE, bytes(MiB), os.urandom(2 * MiB)]
    targets = [MemoryTarget(bytearray(part)) for part in (sources[0], SOURCE, sources[2], 2 * MiB)]
    copy_disks(
        [
            job(source, target, blank=number == 2, name=f"disk-{number}")
            for number, (source, target) in enumerate(zip(sources, targets, strict=True))
        ],
        threading.Event(),
        quiet,
    )
    assert all(calls(target, "flush") for target in targets)
    assert [target.content for target in targets] == sources


def test_a_stop_does_not_wait_for_a_connection_that_does_not_open() -> None:
    stop, ended = threading.Event(), threading.Event()

    def hang(_: MemoryTarget) -> MemoryWriter:
        ended.wait(60)
        raise StreamError("it came to nothing")

    threading.Timer(0.1, stop.set).start()
    with pytest.raises(CancelledError):
        copy_disk(job(SOURCE, MemoryTarget(bytearray(len(SOURCE))), writer=hang), stop, quiet)
    assert not ended.is_set()
    ended.set()
    _assert_no_threads()


def test_no_disks_are_no_work() -> None:
    assert copy_disks([], threading.Event(), quiet) == []


def test_a_listener_that_fails_ends_the_stream() -> None:
    def listen(_: DiskProgress) -> None:
        raise TradewindError("nobody listens")

    source = os.urandom(16 * MiB)
    target = MemoryTarget(bytearray(len(source)))
    with pytest.raises(TradewindError, match="nobody listens"):
        copy_disk(job(source, target, reader=SlowReader), threading.Event(), listen, 1)
    _assert_no_threads()


def test_an_error_in_the_extents_is_raised() -> None:
    broken = job(SOURCE, MemoryTarget(bytearray(len(SOURCE))))

    def extents() -> Sequence[object]:
        raise StreamError("no extents")

    object.__setattr__(broken, "extents", extents)
    with pytest.raises(StreamError, match="no extents"):
        copy_disk(broken, threading.Event(), quiet)


def test_connections_are_given_back() -> None:
    writers: list[MemoryWriter] = []

    def open_writer(target: MemoryTarget) -> MemoryWriter:
        writers.append(MemoryWriter(target))
        return writers[-1]

    copy_disk(
        job(SOURCE, MemoryTarget(bytearray(len(SOURCE))), writer=open_writer),
        threading.Event(),
        quiet,
        connections=3,
    )
    assert len(writers) == 3
    assert all(writer.is_closed for writer in writers)


def test_ranges_are_asked_by_the_block_where_there_is_data() -> None:
    target = MemoryTarget(bytearray(SOURCE))
    copy_disk(job(SOURCE, target, blank=False), threading.Event(), quiet)
    asked = [Range(start, length) for call, start, length in target.calls if call == "digests"]
    assert Range(0, 64 * KiB) in asked
    assert max(length for _, length in asked) > 8 * MiB


def _assert_no_threads() -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not [t for t in threading.enumerate() if t.name == "tradewind-stream"]:
            return
        time.sleep(0.05)
    raise AssertionError("threads are left")
