# SPDX-License-Identifier: Apache-2.0
"""What a process does once it was told to end: it gives back what it can, and is gone in time.

From the signal on a clock runs. Until it is over, what was lent is given back, each call bounded
and none repeated. Then the process ends, whatever hangs: Prefect's client asks a server that is
away for 510 s, each event in its queue is tried for 7 s at the interpreter's end, and libvirt waits
for a host that was cut off in C, where Python hears no signal (all three were seen).

    listen()         in the main thread: from here on SIGTERM and SIGINT start the clock
    begin()          start it; whoever catches a signal's exception does, too
    bounded(call)    run one call of the giving back, for as long as it may take
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context
from types import FrameType
from typing import Final, TypeVar

from tradewind.errors import LateError

T = TypeVar("T")

# Seconds from the signal to the end, and for one call of the giving back.
PATIENCE: Final = 30.0
EACH: Final = 8.0
# What one call has when nothing is left: to write to the ledger takes milliseconds.
LEAST: Final = 1.0
STATUS: Final = 143

_REMEDY: Final = "tradewind status says what is open, tradewind sweep removes what is left"
_HEARD: Final = frozenset({signal.SIGTERM, signal.SIGINT})


class _Deadline:
    """When this process has to be gone, and what it holds until then."""

    def __init__(self) -> None:
        self.end: float | None = None
        self.lent: list[str] = []
        self.ear: socket.socket | None = None


_clock: Final = _Deadline()
_changing: Final = threading.Lock()


def listen() -> None:
    """Hear the signals even while the main thread is busy in C; nothing happens elsewhere.

    signal.set_wakeup_fd(): CPython's own handler, which is C, writes the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if _clock.ear is None:
        ours, _clock.ear = socket.socketpair()
        _clock.ear.setblocking(False)
        threading.Thread(target=_hear, args=(ours,), daemon=True, name="told-to-end").start()
    signal.set_wakeup_fd(_clock.ear.fileno(), warn_on_full_buffer=False)


def _hear(signals: socket.socket) -> None:
    while heard := signals.recv(64):
        if _HEARD.intersection(heard):
            begin()


def begin() -> None:
    """Start the clock; only the first call does."""
    with _changing:
        if _clock.end is not None:
            return
        _clock.end = time.monotonic() + PATIENCE
    threading.Thread(target=_leave_in_time, args=(_clock.end,), daemon=True).start()


def has_begun() -> bool:
    """Whether this process was told to end."""
    return _clock.end is not None


def means_the_end(error: BaseException) -> bool:
    """Whether an error is a signal's, and no failure: Prefect's TerminationSignal, ^C, an exit."""
    return not isinstance(error, Exception | GeneratorExit)


def forget() -> None:
    """Let the process live on as if nothing had been said; for tests, which are one process."""
    with _changing:
        _clock.end = None
        _clock.lent.clear()


@contextmanager
def lent(what: str) -> Iterator[None]:
    """Remember in words what has to be given back, until it is."""
    _clock.lent.append(what)
    try:
        yield
    finally:
        with suppress(ValueError):
            _clock.lent.remove(what)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep a second SIGTERM from ending the giving back; the clock bounds it already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _ignore)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; unlike SIG_IGN it is not handed on to the programs that we start."""


def bounded(call: Callable[[], T], what: str) -> T:
    """Run one call of the giving back; LateError when it takes too long, and then it goes on alone.

    Not in this thread: a call that hangs in C hears nothing.
    """
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="giving-back").start()
    seconds = _allowance()
    if not wait([future], timeout=seconds).done:
        raise LateError(f"{what}: no answer within {seconds:.0f} s, and this process has to end")
    return future.result()


def _allowance() -> float:
    left = PATIENCE if _clock.end is None else _clock.end - time.monotonic()
    return max(LEAST, min(EACH, left))


def _leave_in_time(end: float) -> None:
    time.sleep(max(0.0, end - time.monotonic()))
    if _clock.end == end:  # else: it was forgotten
        sys.stderr.write(_last_words())
        sys.stderr.flush()
        leave()


def _last_words() -> str:
    held = "".join(f"  not given back: {what}\n" for what in reversed(_clock.lent))
    return f"told to end {PATIENCE:.0f} s ago, and ends now\n{held}" + (
        f"  → {_REMEDY}\n" if held else ""
    )


def tell(what: str, failure: Exception) -> None:
    """Say at once what could not be given back: nobody may be left to say it later."""
    sys.stderr.write(f"not given back: {what}: {failure}\n  → {_REMEDY}\n")
    sys.stderr.flush()


def leave() -> None:
    """End the process at once: whoever waits at the interpreter's end is not waited for."""
    os._exit(STATUS)
