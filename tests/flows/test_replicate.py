# SPDX-License-Identifier: Apache-2.0
"""A group of machines: each has its own end, and the group says all of them."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import Flow

import tasks.groups.members
import tasks.operate.events
from flows.replicate import replicate
from flows.transfer import transfer
from tasks.groups.flow_processes import EndedRun, WantedFlowRun
from tasks.groups.members import MachinesFailedError
from tests.fakes.flow_stage import Stage
from tradewind.errors import CapacityError, NotFoundError
from tradewind.ledger.tables import TransferRow
from tradewind.model.groups import GroupReport, GroupRequest
from tradewind.units import MiB


def in_this_process(
    flow: Flow[..., Any], asked: Sequence[WantedFlowRun], limit: int
) -> list[EndedRun]:
    """Take the place of the processes, which would not see the stage."""
    assert limit == 2
    return [_run(flow, each) for each in asked]


def _run(flow: Flow[..., Any], asked: WantedFlowRun) -> EndedRun:
    state: Any = flow(**asked.parameters, return_state=True)
    return EndedRun(
        id=str(state.state_details.flow_run_id),
        state=state.type,
        message=state.message or "",
        seconds=1.5,
    )


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.groups.members, "run_each", in_this_process)


@pytest.fixture
def group(stage: Stage) -> Stage:
    """Three machines on the source."""
    for name in ("web02", "db01"):
        stage.source.contents[name] = {"sda": bytes(MiB)}
    return stage


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Which replicas Prefect was told to be late."""
    seen: list[dict[str, Any]] = []

    def note(event: str, **more: Any) -> None:
        if event == "tradewind.transfer.late":
            seen.append({"event": event, **more})

    monkeypatch.setattr(tasks.operate.events, "emit_event", note)
    return seen


def ask(stage: Stage, **changes: Any) -> GroupRequest:
    asked = {**stage.transfer().model_dump(exclude={"machine"}), "machines": {"patterns": ["*0?"]}}
    return GroupRequest.model_validate({**asked, **changes})


def only_on(machine: str, stage: Stage) -> None:
    """Let the transfer of one machine fail."""

    def fail() -> None:
        if stage.diary[-2] == f"freeze {machine}" or f"freeze {machine}" in stage.diary[-3:]:
            raise CapacityError("pool fast is too small. It has 1 GiB", "free some")

    stage.instead_of_stream = fail


def test_all_machines_of_a_group(group: Stage) -> None:
    report = replicate(ask(group))
    assert isinstance(report, GroupReport)
    assert [(each.machine, str(each.state), each.sent) for each in report.outcomes] == [
        ("db01", "up to date", MiB),
        ("web01", "up to date", 2 * MiB),
        ("web02", "up to date", MiB),
    ]
    assert report.headline() == "3 of 3 machines are up to date"
    assert all(each.consistent for each in report.outcomes)


def test_machine_that_fails_stops_no_other(group: Stage, caplog: pytest.LogCaptureFixture) -> None:
    only_on("web01", group)
    with pytest.raises(MachinesFailedError) as caught:
        replicate(ask(group, machines={"names": ["web01", "web02"]}))
    failed, other = caught.value.report.outcomes
    assert (failed.machine, failed.state) == ("web01", "failed")
    assert failed.problem == "pool fast is too small"
    assert (failed.sent, failed.consistent) == (None, None)
    assert (other.machine, other.state, other.sent) == ("web02", "up to date", MiB)
    assert str(caught.value).startswith("1 of 2 machines are up to date; not web01 (failed)")
    assert "Failed('1 of 2 machines are up to date; not web01 (failed).')" in caplog.text


def test_state_of_the_group_is_failed_without_a_traceback(
    group: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    only_on("web01", group)
    state = replicate(ask(group, machines={"names": ["web01"]}), return_state=True)
    assert state.is_failed()
    assert state.message == "0 of 1 machines are up to date; not web01 (failed)."
    own = [record for record in caplog.records if "replicate" in str(record.args)]
    assert not [record for record in own if record.exc_info]


def test_unknown_machine_is_refused_before_any_run(group: Stage) -> None:
    with pytest.raises(NotFoundError, match=r"no machine is called “web9”\n.*db01, web01, web02"):
        replicate(ask(group, machines={"names": ["web9"], "patterns": ["web*"]}))
    assert group.diary == []


def long_ago(stage: Stage, hours: int) -> None:
    """Let the replicas equal their machines as of that long ago."""
    from sqlmodel import Session, select  # noqa: PLC0415

    with stage.ledger() as ledger, Session(ledger._engine) as session:
        for row in session.exec(select(TransferRow)):
            row.consistent = datetime.now(UTC) - timedelta(hours=hours)
            session.add(row)
        session.commit()


def test_late_replica_is_warned_about(
    group: Stage, events: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    request = ask(group, machines={"names": ["web01", "web02"]}, lag_warning=60)
    replicate(request)
    assert events == []
    long_ago(group, 5)
    only_on("web01", group)
    with caplog.at_level(logging.WARNING), pytest.raises(MachinesFailedError):
        replicate(request)
    (late,) = events
    assert late["event"] == "tradewind.transfer.late"
    assert late["resource"]["prefect.resource.id"] == f"tradewind.vm.{group.endpoint}.web01"
    assert 5 * 3600 <= late["payload"]["lag_seconds"] < 5 * 3600 + 60
    said = "The replica of web01 is 5 h 00 min behind its machine; 1 h 00 min are accepted."
    assert said in caplog.text


def test_transfer_warns_when_earlier_ones_were_missed(
    group: Stage, events: list[dict[str, Any]]
) -> None:
    request = group.transfer(lag_warning=60)
    transfer(request)
    transfer(request)
    assert events == []
    with group.ledger() as ledger:
        known = ledger.find_transfer(group.endpoint, group.endpoint, "web01")
        ledger.mark_changed(known.id)
    long_ago(group, 2)
    transfer(request)
    (late,) = events
    assert late["payload"]["accepted_minutes"] == 60
    assert late["resource"]["prefect.resource.name"] == "web01"
