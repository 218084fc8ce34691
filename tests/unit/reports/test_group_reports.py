# SPDX-License-Identifier: Apache-2.0
"""The words of a group's report, whole, as a file."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.groups.members import first_sentence
from tests.unit.reports.test_reports import same_as_golden
from tradewind.model.groups import GroupReport, MachineOutcome, MachineState
from tradewind.reports.groups import group_markdown
from tradewind.units import MiB

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def outcome(machine: str, state: MachineState, **more: Any) -> MachineOutcome:
    return MachineOutcome(machine=machine, state=state, flow_run=f"run-{machine}", **more)


GROUP = GroupReport(
    source="old-host",
    destination="kvm1",
    ended=NOON,
    seconds=412.0,
    lag_warning=60,
    outcomes=(
        outcome(
            "db01",
            MachineState.UP_TO_DATE,
            sent=3 * MiB,
            seconds=95.0,
            consistent=NOON - timedelta(seconds=95),
        ),
        outcome(
            "web01",
            MachineState.FAILED,
            seconds=12.0,
            consistent=NOON - timedelta(days=2, hours=5),
            problem="pool fast on kvm1 is too small",
        ),
        outcome("web02", MachineState.CRASHED, seconds=3.0),
    ),
)


def test_group() -> None:
    same_as_golden("group", group_markdown(GROUP))


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "Flow run encountered an exception: NotFoundError: no pool “x”\n  → there are: y",
            "no pool “x”",
        ),
        ("Flow run encountered an exception: StreamError: cut. Twice.", "cut"),
        (
            "Its process was killed by signal 9. `tradewind sweep` …",
            "Its process was killed by signal 9",
        ),
        ("", ""),
    ],
)
def test_first_sentence_of_an_error(message: str, sentence: str) -> None:
    assert first_sentence(message) == sentence
