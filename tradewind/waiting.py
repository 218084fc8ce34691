# SPDX-License-Identifier: Apache-2.0
"""Poll until true, or late (home of tenacity)."""

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Final, TypeVar

import tenacity

from tradewind.errors import LateError, TradewindError

T = TypeVar("T")

# How often a waiting thread that is not the main one can be interrupted itself, and how long a
# call that was told to end is waited for.
_POLL_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 3.0
# Seconds that a call of `repeatedly` which is under way may take to end.
_END_OF_A_TURN: Final = 5


def wait_for(
    probe: Callable[[], T | None],
    what: str,
    timeout: float,
    *,
    every: float = 1.0,
    hint: str = "",
) -> T:
    """Call `probe` until it returns something other than None or False.

    `timeout` and `every` are seconds. Raises LateError naming `what` when the time is over;
    whatever the probe raises is not held back.
    """
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(timeout),
        wait=tenacity.wait_fixed(every),
        retry=tenacity.retry_if_result(lambda result: result is None or result is False),
    )
    try:
        result = retrying(probe)
    except tenacity.RetryError:
        raise LateError(f"{what}: not within {timeout:.0f} s", hint) from None
    assert result is not None  # noqa: S101 - retry_if_result excludes it; this tells mypy
    return result


def may_pass(error: BaseException) -> bool:
    """Tell whether the same call may succeed a little later."""
    return isinstance(error, TradewindError) and error.transient


def attempts(
    count: int,
    pause: float,
    told: Callable[[BaseException], None] = lambda _: None,
    again: Callable[[BaseException], bool] = may_pass,
) -> Iterable[AbstractContextManager[object]]:
    """Lend one attempt after the other, until one ends well or fails for good.

    `for attempt in attempts(…): with attempt: …`. Only an error that `again` accepts leads to
    another one, `pause` seconds later; `told` hears of it. The last error is raised as it is.
    """
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(count),
        wait=tenacity.wait_fixed(pause),
        retry=tenacity.retry_if_exception(again),
        before_sleep=lambda state: told(_failure(state)),
        reraise=True,
    )


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None  # noqa: S101 - only a failed attempt is followed by another
    return error


def run_interruptibly(work: Callable[[], T], timeout: float | None = None) -> T:
    """Run a call in a thread of its own, so that a signal gets through to the waiting one at once.

    LateError after `timeout` seconds, if any.

    A signal's exception can only be raised between two Python instructions of the main thread;
    a call that blocks in C, as libvirt's do, delays it. The call is then told to end between two
    instructions of its own, and has some seconds to give back what it was lent; one that hangs in
    C goes on alone, and the end of the process does not wait for it: whoever undoes the work must
    expect that.
    """
    future: Future[T] = Future()
    context = copy_context()

    def call() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            future.set_exception(error)

    thread = threading.Thread(target=call, daemon=True, name="long-call")
    thread.start()
    try:
        _wait_for_end(future, timeout)
    except BaseException:
        _interrupt(thread)
        wait([future], timeout=_GRACE_SECONDS)
        raise
    return future.result()


def _wait_for_end(future: Future[T], timeout: float | None) -> None:
    """Wait in steps, so that a thread which is not the main one can be interrupted itself."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not wait([future], timeout=_POLL_SECONDS).done:
        if deadline is not None and time.monotonic() > deadline:
            raise LateError(f"a call did not return within {timeout:.0f} s")


class InterruptedCall(BaseException):
    """The thread that waited for this call was told to end."""


def _interrupt(thread: threading.Thread) -> None:
    """Raise an exception in another thread, at its next instruction of Python.

    docs.python.org/3/c-api/init.html, PyThreadState_SetAsyncExc: from pure Python only like this.
    """
    raised = ctypes.py_object(InterruptedCall)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), raised)


@contextlib.contextmanager
def repeatedly(work: Callable[[], bool], every: float) -> Iterator[None]:
    """Call `work` in a thread every so many seconds while the block runs, until it returns True.

    What it raises is lost: it has to keep what matters. A call that hangs is not waited for.
    """
    over = threading.Event()

    def turn() -> None:
        while not over.wait(every):
            with contextlib.suppress(Exception):
                if work():
                    return

    thread = threading.Thread(target=turn, daemon=True, name="tradewind-repeated")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_END_OF_A_TURN)
