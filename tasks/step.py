# SPDX-License-Identifier: Apache-2.0
"""The one way in which this project declares a Prefect task."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from tradewind.errors import TradewindError

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3


def step(name: str, *, retries: int = RETRIES) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a task whose run is called `name` (a format string over its arguments).

    Only errors that may pass with time are retried. Nothing is cached: a second detach with the
    same arguments must detach. Nothing is persisted: arguments hold keys.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = task(
            task_run_name=name,
            retries=retries,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_jitter_factor=0.5,
            retry_condition_fn=_may_pass_with_time,
            cache_policy=NO_CACHE,
            persist_result=False,
        )(function)
        return cast("Callable[P, R]", declared)

    return declare


def _may_pass_with_time(_task: Any, _run: Any, state: Any) -> bool:
    try:
        state.result()
    except TradewindError as error:
        return error.transient
    except BaseException:  # noqa: BLE001 - a defect of ours is not retried, whatever it is
        return False
    return False
