# SPDX-License-Identifier: Apache-2.0
"""Polling, and long calls that a signal gets through."""

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType

import pytest

from tradewind.errors import HypervisorError, LateError
from tradewind.waiting import run_interruptibly, wait_for


class Stop(BaseException):
    """What a signal's handler raises."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises Stop, as Prefect's handler of SIGTERM does."""

    def raise_stop(_number: int, _frame: FrameType | None) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, raise_stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("result", ["there", 0, "", ()])
def test_waits_until_there_is_something(result: object) -> None:
    answers: list[object] = [None, False, result]
    assert wait_for(lambda: answers.pop(0), "an answer", 5, every=0.001) == result
    assert answers == []


def test_late_names_what_was_awaited() -> None:
    looks: list[float] = []
    began = time.monotonic()
    with pytest.raises(LateError) as caught:
        wait_for(
            lambda: looks.append(time.monotonic()),
            "the worker answers",
            0.2,
            every=0.05,
            hint="look at its console",
        )
    assert time.monotonic() - began > 0.15
    assert len(looks) >= 2
    assert caught.value.message == "the worker answers: not within 0 s"
    assert caught.value.hint == "look at its console"


def test_error_of_the_probe_is_not_held_back() -> None:
    looks: list[int] = []

    def probe() -> None:
        looks.append(1)
        raise HypervisorError("no such thing")

    with pytest.raises(HypervisorError, match="no such thing"):
        wait_for(probe, "something", 5, every=0.001)
    assert looks == [1]


def test_signal_ends_the_wait(alarm: None) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    began = time.monotonic()
    with pytest.raises(Stop):
        wait_for(lambda: None, "never", 60, every=40)
    assert time.monotonic() - began < 20


def test_long_call_gives_its_result() -> None:
    assert run_interruptibly(lambda: threading.current_thread().name).startswith("long-call")


def test_long_call_gives_its_error() -> None:
    def fail() -> None:
        raise HypervisorError("the pool is gone")

    with pytest.raises(HypervisorError, match="the pool is gone"):
        run_interruptibly(fail)


def test_signal_gets_through_a_long_call(alarm: None) -> None:
    """A call in C, as libvirt's are: no signal can interrupt it, and nothing can give it up."""
    c, lock, ended = ctypes.CDLL(None), ctypes.create_string_buffer(64), threading.Event()
    c.pthread_mutex_lock(lock)
    releasing = threading.Timer(60, lambda: c.pthread_mutex_unlock(lock))
    releasing.start()

    def work() -> None:
        try:
            c.pthread_mutex_lock(lock)
        finally:
            ended.set()

    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(Stop):
        run_interruptibly(work)
    assert not ended.is_set()  # the call hangs on in its thread, as promised
    releasing.cancel()
    c.pthread_mutex_unlock(lock)
    assert ended.wait(60)


def test_call_that_was_told_to_end_gives_back_what_it_was_lent(alarm: None) -> None:
    """And does nothing more: nobody knows of it any longer."""
    said: list[str] = []
    over = threading.Event()

    def work() -> None:
        try:
            for _ in range(6000):
                time.sleep(0.05)
            said.append("went on")
        finally:
            said.append("gave back")
            over.set()

    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(Stop):
        run_interruptibly(work)
    assert over.wait(60)
    assert said == ["gave back"]


def test_long_call_knows_what_its_caller_knows() -> None:
    known: ContextVar[str] = ContextVar("known")
    known.set("the flow run")
    assert run_interruptibly(known.get) == "the flow run"
