# SPDX-License-Identifier: Apache-2.0
"""Poll until true, or late (home of tenacity)."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from tradewind.errors import LateError

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
