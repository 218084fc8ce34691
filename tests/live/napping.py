# SPDX-License-Identifier: Apache-2.0
"""A flow that takes its time and changes its state on the way, for what happens around flows."""

import time

from prefect import flow, task


@task
def rest() -> None:
    time.sleep(5)


@flow
def nap(rests: int) -> None:
    """Rest so often, five seconds each."""
    for _ in range(rests):
        rest()
