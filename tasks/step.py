# SPDX-License-Identifier: Apache-2.0
"""The one way in which this project declares a Prefect task."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from tasks.run_logs import keep_short
from tradewind import ending
from tradewind.errors import TradewindError
from tradewind.waiting import run_interruptibly

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3

keep_short()


class Step(Task[..., Any]):
    """A task that a process which was told to end runs without Prefect, once, and for seconds.

    What is called then gives something back; Prefect's server may be what is away.
    """

    # The signature of Task is seven overloads; `step` says which one a caller sees.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step."""
        ending.listen()
        if not ending.has_begun():
            return super().__call__(*args, **kwargs)
        plain = getattr(self.fn, "__wrapped__", self.fn)
        return ending.bounded(lambda: plain(*args, **kwargs), self.name.strip("_"))


def step(
    name: str, *, retries: int = RETRIES, in_main_thread: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a task whose run is called `name` (a format string over its arguments).

    Only errors that may pass with time are retried. Nothing is cached: a second detach with the
    same arguments must detach. Nothing is persisted: arguments hold keys. The function runs beside
    the main thread, which so hears a signal at once; `in_main_thread` is for one that has threads
    of its own and ends them when it hears it.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = Step(
            fn=function if in_main_thread else _aside(function),
            task_run_name=name,
            retries=retries,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_jitter_factor=0.5,
            retry_condition_fn=_may_pass_with_time,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        return cast("Callable[P, R]", declared)

    return declare


def _aside(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_interruptibly(lambda: function(*args, **kwargs))

    return call


def _may_pass_with_time(_task: Any, _run: Any, state: Any) -> bool:
    if ending.has_begun():
        return False
    try:
        state.result()
    except TradewindError as error:
        return error.transient
    except BaseException:  # noqa: BLE001 - a defect of ours is not retried, whatever it is
        return False
    return False
