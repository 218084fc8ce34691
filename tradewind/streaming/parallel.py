# SPDX-License-Identifier: Apache-2.0
"""Run calls in threads and wait so that the waiting thread can be interrupted at any moment."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

from tradewind.errors import CancelledError

T = TypeVar("T")

# A signal that becomes an exception (Prefect's cancellation does) is noticed between two polls.
_POLL_SECONDS: Final = 0.1

# How long threads may take to end after they were interrupted. What hangs longer hangs in a
# call that ends with its connection's timeout or with the server that the caller is about to
# stop; its thread is a daemon and cannot write any more.
_GRACE_SECONDS: Final = 0.7


class SharedIterator(Generic[T]):
    """An iterator that several threads take from: each item goes to one of them."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)


def _nothing() -> None:
    return


def run_all(
    calls: Sequence[Callable[[], None]],
    stop: threading.Event,
    *,
    abort: Callable[[], None],
    tick: Callable[[], None] = _nothing,
) -> None:
    """Run each call in a thread of its own and return when all have returned.

    The first error wins and is raised here. An error, a set `stop` (CancelledError) or an
    exception in the waiting thread calls `abort`, which has to make the others end; `tick` is
    called in the waiting thread about ten times a second.
    """
    errors: list[BaseException] = []
    futures = [_start(call, errors) for call in calls]
    try:
        while futures and not _finished(futures, errors):
            tick()
            _check(stop)
    except BaseException:
        abort()
        wait(futures, timeout=_GRACE_SECONDS)
        raise


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise CancelledError("The stream was stopped")


def _finished(futures: Sequence[Future[None]], errors: Sequence[BaseException]) -> bool:
    pending = wait(futures, timeout=_POLL_SECONDS).not_done
    if errors:
        raise errors[0]
    return not pending


def _start(call: Callable[[], None], errors: list[BaseException]) -> Future[None]:
    future: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            errors.append(error)
        finally:
            future.set_result(None)

    threading.Thread(target=run, daemon=True, name="tradewind-stream").start()
    return future
