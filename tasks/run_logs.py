# SPDX-License-Identifier: Apache-2.0
"""What a run's log says of an error that was expected: the sentence, and no traceback.

Prefect logs the traceback of whatever ends a flow. Of a TradewindError a person needs what it says:
the thing, the remedy, and what could not be given back. With PREFECT_LOGGING_LEVEL=DEBUG the
traceback is logged all the same.
"""

import logging
from typing import Final

from tradewind.errors import TradewindError

# See prefect.logging.loggers: flow_run_logger, task_run_logger and get_logger of its engines.
_LOGGERS: Final = (
    "prefect.flow_runs",
    "prefect.task_runs",
    "prefect.flow_engine",
    "prefect.task_engine",
)


class ExpectedErrors(logging.Filter):
    """Have a record that carries a TradewindError say its words only."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; none is held back."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, TradewindError) and not _is_debugging(record):
            record.exc_info = None
            record.msg = "\n".join((f"{type(error).__name__}: {error}", *_notes(error)))
            record.args = ()
        return True


def _is_debugging(record: logging.LogRecord) -> bool:
    return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


def _notes(error: BaseException) -> tuple[str, ...]:
    return tuple(getattr(error, "__notes__", ()))


def keep_short() -> None:
    """Have the logs of runs in this process say so."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, ExpectedErrors) for each in logger.filters):
            logger.addFilter(ExpectedErrors())
