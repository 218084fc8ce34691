# SPDX-License-Identifier: Apache-2.0
"""A flow that ends as its parameter says, for tests of the processes that flow runs get."""

import os
import signal
import time
from pathlib import Path

from prefect import flow

from tradewind.errors import CapacityError


def _fail() -> None:
    raise CapacityError("pool fast is too small. It has 1 GiB", "free some")


def _be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait() -> None:
    time.sleep(60)


ENDS = {"well": lambda: time.sleep(1), "badly": _fail, "killed": _be_killed, "never": _wait}


@flow(flow_run_name="one-{name}")
def one(name: str, end: str, folder: str) -> None:
    """Leave a file that says when this began, and when what it was lent was given back."""
    place = Path(folder, name)
    try:
        place.write_text(str(time.time()))
        ENDS[end]()
    finally:
        place.with_suffix(".end").write_text(str(time.time()))
