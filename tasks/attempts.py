# SPDX-License-Identifier: Apache-2.0
"""Try again what a broken connection, a lost worker or a restarted host interrupted."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Final

from prefect.logging import get_run_logger

from tradewind import waiting

COUNT: Final = 3
PAUSE: Final = 5.0


def attempts() -> Iterable[AbstractContextManager[object]]:
    """Lend up to three attempts; what an earlier one brought to the destination is not sent again.

    A step's own retries mend what is over in seconds. This begins anew with what does not come
    back: another worker, another snapshot.
    """
    return waiting.attempts(COUNT, PAUSE, _tell)


def _tell(error: BaseException) -> None:
    get_run_logger().warning(
        "interrupted, and tried again with a new worker and a new snapshot: %s", error
    )
