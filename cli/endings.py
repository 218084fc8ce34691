# SPDX-License-Identifier: Apache-2.0
"""How a command ends: its exit code, and the sentence that a person reads."""

import sys
from typing import Final

from pydantic import ValidationError

from tradewind.errors import BadInputError, TradewindError
from tradewind.model.record import faults

DONE, FAILED, REFUSED, INTERRUPTED, STOPPED = 0, 1, 2, 130, 143

CODES: Final = {
    DONE: "Done.",
    FAILED: "Failed while at work: the message says what is left and what to do.",
    REFUSED: "Refused: bad input, a missing thing, something busy, an error that preflight found."
    " Nothing was made.",
    INTERRUPTED: "Interrupted with ^C; what was lent is given back.",
    STOPPED: "Stopped by SIGTERM; what was lent is given back.",
}

EPILOG: Final = (
    "Exit codes: 0 done, 1 failed while at work, 2 refused before anything was made,"
    " 130 interrupted with ^C, 143 stopped by SIGTERM."
)


def ending_of(error: BaseException) -> tuple[int, str] | None:
    """Give exit code and sentence of an expected error; None for a defect of ours."""
    if isinstance(error, ValidationError):
        return REFUSED, faults(error)
    if not isinstance(error, TradewindError):
        return _prefects(error)
    said = "\n".join((str(error), *getattr(error, "__notes__", ())))
    return (REFUSED if isinstance(error, BadInputError) else FAILED), said


def _prefects(error: BaseException) -> tuple[int, str] | None:
    """Read what Prefect raises; without Prefect there is nothing of the kind."""
    if "prefect" not in sys.modules:
        return None
    from prefect.exceptions import TerminationSignal  # noqa: PLC0415 - it takes seconds to import

    from cli.server import explained  # noqa: PLC0415

    if isinstance(error, TerminationSignal):
        return STOPPED, CODES[STOPPED]
    known = explained(error)
    return None if known is None else (FAILED, str(known))
