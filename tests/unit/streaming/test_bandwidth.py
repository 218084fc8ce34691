# SPDX-License-Identifier: Apache-2.0
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.writer_process import WriterProcess, running_writer
from tradewind.errors import CancelledError
from tradewind.streaming import bandwidth as module
from tradewind.streaming.bandwidth import Bandwidth, unlimited
from tradewind.streaming.over_https import open_writer
from tradewind.units import KiB, MiB

NEVER = threading.Event()


def seconds_for(bandwidth: Bandwidth, size: int) -> float:
    begun = time.monotonic()
    step = bandwidth.step()
    for start in range(0, size, step):
        bandwidth.spend(min(step, size - start), NEVER)
    return time.monotonic() - begun


def test_no_limit_costs_no_time() -> None:
    assert seconds_for(Bandwidth(unlimited), 100 * MiB) < 10


def test_a_stream_takes_as_long_as_its_limit_says() -> None:
    assert 0.4 < seconds_for(Bandwidth(lambda: 10 * MiB), 5 * MiB) < 30


def test_connections_share_it() -> None:
    shared = Bandwidth(lambda: 10 * MiB)
    threads = [threading.Thread(target=seconds_for, args=(shared, MiB)) for _ in range(5)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.4 < time.monotonic() - begun < 30


def test_waiting_saves_nothing_up() -> None:
    shared = Bandwidth(lambda: 10 * MiB)
    shared.spend(1, NEVER)
    time.sleep(0.3)
    assert seconds_for(shared, 3 * MiB) > 0.2


def test_a_new_limit_counts_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN", 0.1)
    limits: Iterator[float | None] = iter([MiB, None])
    shared = Bandwidth(lambda: next(limits, None))
    assert seconds_for(shared, 100 * MiB) < 30


def test_an_interruption_ends_the_waiting() -> None:
    slow = Bandwidth(lambda: 16 * KiB)
    slow.spend(MiB, NEVER)
    interrupted = threading.Event()
    threading.Timer(0.1, interrupted.set).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        slow.spend(1, interrupted)
    assert time.monotonic() - begun < 30  # of the 64 seconds that it would take


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WriterProcess]:
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, 8 * MiB)
    with running_writer(tmp_path, {"one": path}) as process:
        yield process


def test_it_counts_what_crosses_the_wire(service: WriterProcess) -> None:
    limited = partial(open_writer, service.access, "one", bandwidth=Bandwidth(lambda: 10 * MiB))
    writer = limited()
    compressible, random = memoryview(bytes([7]) * 4 * MiB), memoryview(os.urandom(4 * MiB))
    assert writer.write(0, compressible) < 64 * KiB
    writer.flush()
    begun = time.monotonic()
    assert writer.write(0, random) == 4 * MiB
    writer.flush()
    assert time.monotonic() - begun > 0.35
    writer.close()


def test_a_limited_writer_can_be_interrupted(service: WriterProcess) -> None:
    writer = open_writer(service.access, "one", bandwidth=Bandwidth(lambda: 64 * KiB))
    threading.Timer(0.2, writer.interrupt).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        writer.write(0, memoryview(os.urandom(4 * MiB)))
    assert time.monotonic() - begun < 30  # of the 64 seconds that it would take
    writer.close()


def test_an_interrupted_writer_says_so_wherever_it_was_in_its_call(service: WriterProcess) -> None:
    """Not while it waits for its turn alone: a socket that was shut breaks what is being sent."""
    writer = open_writer(service.access, "one")
    writer.interrupt()
    with pytest.raises(CancelledError, match=r"disk one .*interrupted"):
        writer.write(0, memoryview(bytes(64 * KiB)))
    with pytest.raises(CancelledError):
        writer.flush()
    writer.close()
