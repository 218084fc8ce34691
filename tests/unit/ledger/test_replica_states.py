# SPDX-License-Identifier: Apache-2.0
"""How current each replica is, and how its last run went."""

from datetime import UTC, datetime, timedelta

import pytest

from tradewind.ledger import Ledger
from tradewind.model.ledger import RunKind, RunState, Transfer, is_late, lag
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB

MOMENT = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)


def execute(ledger: Ledger, transfer: Transfer, state: RunState) -> Run:
    """Run an execution that writes, and ends well or not."""
    run = ledger.begin(transfer, RunKind.EXECUTION)
    volume = Volume(pool="default", name="a.qcow2", capacity=GiB, format="qcow2")
    ledger.plan_volumes(
        transfer.id, [ReplicaVolume(disk_id="sda", volume=volume, serial="tw", blank=False)]
    )
    ledger.mark_changed(transfer.id)
    if state is RunState.COMPLETED:
        ledger.complete(run, volume, MOMENT, None)
    else:
        ledger.finish(run, state)
    return run


def test_replica_that_was_never_completed_equals_nothing(
    ledger: Ledger, transfer: Transfer
) -> None:
    (state,) = ledger.replicas()
    assert (state.machine, state.source, state.destination) == ("ledger01", "old-host", "kvm1")
    assert (state.consistent, state.run_state, state.run_ended) == (None, None, None)
    execute(ledger, transfer, RunState.FAILED)
    (state,) = ledger.replicas()
    assert (state.consistent, state.run_state) == (None, RunState.FAILED)


def test_replica_equals_its_machine_as_of_the_snapshot(ledger: Ledger, transfer: Transfer) -> None:
    run = execute(ledger, transfer, RunState.COMPLETED)
    (state,) = ledger.replicas()
    assert state.consistent == MOMENT
    assert state.run_ended is not None
    assert state.run_ended >= run.begun


def test_last_point_stays_known_when_the_next_execution_fails(
    ledger: Ledger, transfer: Transfer
) -> None:
    execute(ledger, transfer, RunState.COMPLETED)
    execute(ledger, transfer, RunState.FAILED)
    (state,) = ledger.replicas()
    assert (state.consistent, state.run_state) == (MOMENT, RunState.FAILED)


def test_replica_that_was_given_away_equals_nothing(ledger: Ledger, transfer: Transfer) -> None:
    execute(ledger, transfer, RunState.COMPLETED)
    deployed = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.finish(deployed, RunState.COMPLETED, gives_away=True)
    (state,) = ledger.replicas()
    assert state.consistent is None


def test_replicas_come_by_name(ledger: Ledger, machine: VirtualMachine) -> None:
    for name in ("web", "db"):
        ledger.note_transfer("old", "new", machine.model_copy(update={"name": name, "id": name}))
    assert [state.machine for state in ledger.replicas()] == ["db", "web"]


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes_ago", "accepted", "late"),
    [(5, 10, False), (15, 10, True), (15, None, False), (None, 10, True), (None, None, False)],
)
def test_lag(minutes_ago: int | None, accepted: int | None, late: bool) -> None:
    moment = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    behind = lag(moment, NOW)
    assert behind == (None if minutes_ago is None else minutes_ago * 60)
    assert is_late(behind, accepted) is late


def test_latest_run_of_each_kind(ledger: Ledger, transfer: Transfer) -> None:
    assert ledger.latest_runs(transfer.id) == []
    execute(ledger, transfer, RunState.FAILED)
    deployed = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.finish(deployed, RunState.FAILED)
    newest = execute(ledger, transfer, RunState.COMPLETED)
    found = ledger.latest_runs(transfer.id)
    assert [(run.id, run.kind, run.state) for run in found] == [
        (newest.id, RunKind.EXECUTION, RunState.COMPLETED),
        (deployed.id, RunKind.DEPLOYMENT, RunState.FAILED),
    ]
    assert all(run.ended and run.ended >= run.begun for run in found)
