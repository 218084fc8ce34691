# SPDX-License-Identifier: Apache-2.0
"""A program with steps that nobody has listed anywhere, run with the hook of the fault matrix."""

import os
import sys

from prefect import flow

from tasks.step import step
from tests.live.faults import hook
from tradewind.errors import ConnectionFailedError

_tries: list[str] = []


@step("fetch-{name}")
def _fetch(name: str) -> None:
    """Fail once, which is retried."""
    _tries.append(name)
    if _tries == ["one"]:
        raise ConnectionFailedError("the first try fails")


@flow
def two_steps() -> None:
    """Take the same step twice."""
    _fetch("one")
    _fetch("two")


if __name__ == "__main__":
    hook.install()
    os.environ[hook.VARIABLE] = sys.argv[1]
    two_steps()
