# SPDX-License-Identifier: Apache-2.0
"""How a command ends: its exit code, and the sentence that a person reads."""

import sys
from collections.abc import Sequence
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
    STOPPED: "Stopped by SIGTERM; what was lent is given back, or named.",
}


def ending_of(error: BaseException) -> tuple[int, str] | None:
    """Give exit code and sentence of an expected error; None for a defect of ours."""
    if isinstance(error, ValidationError):
        return REFUSED, faults(error)
    if not isinstance(error, TradewindError):
        return _prefects(error)
    said = "\n".join((str(error), *getattr(error, "__notes__", ())))
    return (REFUSED if isinstance(error, BadInputError) else FAILED), said


def _stopped(notes: Sequence[str]) -> str:
    """Return what could not be given back, where there is something."""
    if not notes:
        return CODES[STOPPED]
    remedy = "  → tradewind status says what is open, tradewind sweep removes what is left"
    return "\n".join(("Stopped by SIGTERM.", *notes, remedy))


def _prefects(error: BaseException) -> tuple[int, str] | None:
    """Read what Prefect raises; without Prefect there is nothing of the kind."""
    if "prefect" not in sys.modules:
        return None
    from prefect.exceptions import TerminationSignal  # noqa: PLC0415 - it takes seconds to import

    from deployments.server import explained  # noqa: PLC0415

    if isinstance(error, TerminationSignal):
        return STOPPED, _stopped(getattr(error, "__notes__", []))
    known = explained(error)
    return None if known is None else (FAILED, str(known))
