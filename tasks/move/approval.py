# SPDX-License-Identifier: Apache-2.0
"""Wait until the machine may be shut down: a person says so, or the clock."""

import time
from datetime import UTC, datetime
from typing import Final

from prefect import pause_flow_run
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.logging import get_run_logger
from pydantic import Field

from tradewind.errors import CancelledError
from tradewind.model.migrate import Answer, Go, MigrateRequest
from tradewind.units import human_duration

HOUR: Final = 3600
_POLL_SECONDS: Final = 5


class Decision(RunInput):
    """Say whether the machine may be shut down now."""

    answer: Answer = Field(
        Answer.APPROVE,
        title="Decision",
        description="approve: shut the machine down now. postpone: ask again later. "
        "cancel: leave it where it is; the replica stays.",
    )
    postpone_minutes: int = Field(
        60, gt=0, title="Postpone by (minutes)", description="When postponed: ask again after."
    )
    operator: str = Field("", title="Your name", description="For the report; nothing checks it.")


def wait_for_go(request: MigrateRequest) -> str:
    """Return when the machine may be shut down, saying why; CancelledError when it may not."""
    match request.go:
        case Go.APPROVAL:
            return _wait_for_approval(request)
        case Go.TIME:
            return _wait_for_window(request)
        case Go.AT_ONCE:
            return "at once, as was asked for"


def _wait_for_approval(request: MigrateRequest) -> str:
    while True:
        decision = _ask(request)
        who = decision.operator or "somebody"
        match Answer(decision.answer):
            case Answer.APPROVE:
                return f"{who} approved"
            case Answer.CANCEL:
                raise CancelledError(
                    f"{who} cancelled the move of {request.machine}; it was not shut down",
                    "its replica stays; start the move again when it may take place",
                )
            case Answer.POSTPONE:
                seconds = decision.postpone_minutes * 60
                get_run_logger().info("%s postponed by %s", who, human_duration(seconds))
                time.sleep(seconds)


def _ask(request: MigrateRequest) -> Decision:
    get_run_logger().info(
        "%s is replicated; the move waits for a decision: Resume in Prefect's UI, or"
        " `tradewind answer %s approve`",
        request.machine,
        request.machine,
    )
    try:
        decision: Decision = pause_flow_run(
            wait_for_input=Decision,
            timeout=request.approval_timeout * HOUR,
            poll_interval=_POLL_SECONDS,
        )
    except FlowPauseTimeout:
        raise CancelledError(
            f"nobody decided within {request.approval_timeout} h; {request.machine} was not shut"
            " down",
            "its replica stays; start the move again when somebody is there",
        ) from None
    return decision


def _wait_for_window(request: MigrateRequest) -> str:
    opens = request.window_opens or datetime.now(UTC)
    while (wait := (opens - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(min(wait, _POLL_SECONDS))
    return f"the window opened at {opens:%Y-%m-%d %H:%M %Z}"


def refuse_when_closed(request: MigrateRequest) -> None:
    """Raise CancelledError when the window has closed meanwhile."""
    closes = request.window_closes
    if closes is not None and datetime.now(UTC) > closes:
        raise CancelledError(
            f"the window closed at {closes:%Y-%m-%d %H:%M %Z}; {request.machine} was not shut down",
            "its replica stays; start the move again with another window",
        )
