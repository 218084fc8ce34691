# SPDX-License-Identifier: Apache-2.0
"""Let the workers run dry before one is restarted, and let them work again."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tradewind.errors import LateError

if TYPE_CHECKING:
    from deployments.work_pool import TakenRun, WorkPool

console = Console()

EVERY = 2.0


def drain(
    timeout: Annotated[
        int | None, typer.Option(help="Minutes to wait. Afterwards the pool stays paused.", min=0)
    ] = None,
) -> None:
    """Pause the work pool and wait until nothing runs.

    After that a worker can be restarted safely. Runs that are started or come due meanwhile wait
    until `tradewind resume`. Stopping a worker without draining it kills or orphans its flow runs.
    """
    from deployments.work_pool import pool  # noqa: PLC0415 - Prefect takes seconds to import

    with pool() as found:
        found.pause()
        console.print("paused: no worker takes a new run", markup=False)
        wait_until_idle(found, None if timeout is None else 60.0 * timeout, _say)
        for each in found.abandoned():
            console.print(f"  {each.sentence()}", markup=False)
    console.print("nothing runs: workers may be restarted, then `tradewind resume`", markup=False)


def resume() -> None:
    """Resume the work pool. Waiting runs start first."""
    from deployments.work_pool import pool  # noqa: PLC0415

    with pool() as found:
        found.resume()
    console.print("resumed: workers take runs again", markup=False)


def wait_until_idle(
    found: "WorkPool", seconds: float | None, say: "Callable[[Sequence[TakenRun]], None]"
) -> None:
    """Return when no run of the pool has a process; say for which it waits, whenever they change.

    LateError: some still run; they are named.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    said: Sequence[TakenRun] = ()
    while working := found.working():
        if working != said:
            say(working)
            said = working
        if deadline is not None and time.monotonic() >= deadline:
            names = ", ".join(each.name for each in working)
            raise LateError(
                f"still at work: {names}",
                "wait longer, cancel them, or `tradewind resume`; the pool stays paused until then",
            )
        time.sleep(EVERY)


def _say(working: "Sequence[TakenRun]") -> None:
    console.print("waiting for:")
    for each in working:
        console.print(f"  {each.sentence()}", markup=False)
