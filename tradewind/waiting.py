# SPDX-License-Identifier: Apache-2.0
"""Poll until true, or late (home of tenacity)."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TypeVar

import tenacity

from tradewind.errors import LateError, TradewindError

T = TypeVar("T")


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


def attempts(
    count: int, pause: float, told: Callable[[BaseException], None]
) -> Iterable[AbstractContextManager[object]]:
    """Lend one attempt after the other, until one ends well or fails for good.

    `for attempt in attempts(…): with attempt: …`. Only a transient error leads to another one,
    `pause` seconds later; `told` hears of it. The last error is raised as it is.
    """
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(count),
        wait=tenacity.wait_fixed(pause),
        retry=tenacity.retry_if_exception(_may_pass),
        before_sleep=lambda state: told(_failure(state)),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TradewindError) and error.transient


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None  # noqa: S101 - only a failed attempt is followed by another
    return error


def run_interruptibly(work: Callable[[], T]) -> T:
    """Run one long call that holds its thread (libvirt's do) so that a signal gets through.

    A signal's exception can only be raised between two Python instructions of the main thread;
    a call that blocks in C delays a cancellation until it returns. The abandoned call goes on in
    its thread, which the end of the process does not wait for; whoever undoes the work must
    expect that.
    """
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            future.set_exception(error)

    threading.Thread(target=call, daemon=True, name="long-call").start()
    return future.result()
