# SPDX-License-Identifier: Apache-2.0
"""Outages in the ledger: how far each came, who may work on it, and what it holds."""

import pytest
from sqlmodel import Session, select

from tradewind.errors import BusyError, NotFoundError
from tradewind.ledger import Ledger, owners
from tradewind.ledger.tables import OutageRow
from tradewind.model.cutover import Outage
from tradewind.model.ledger import Life, Owner, RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.migrate import MigrateRequest
from tradewind.model.outage import OutageEnd, OutagePhase
from tradewind.model.requests import TransferRequest

MOVE = MigrateRequest(
    transfer=TransferRequest(machine="ledger01", source="old-host", destination="kvm1")
)
NO_PROCESS = 2**22 + 1


@pytest.fixture
def outage(ledger: Ledger, transfer: Transfer, machine: VirtualMachine) -> Outage:
    return ledger.outages.begin(transfer.id, machine, MOVE)


def leave_to(ledger: Ledger, owner: Owner | None) -> None:
    """Let another process be the one that works on it."""
    with Session(ledger._engine) as session, session.begin():
        row = session.exec(select(OutageRow)).one()
        row.owner = owner.model_dump_json() if owner else None
        session.add(row)


def dead() -> Owner:
    return owners.current().model_copy(update={"pid": NO_PROCESS})


def test_outage_knows_all_that_the_way_back_needs(
    outage: Outage, machine: VirtualMachine, ledger: Ledger
) -> None:
    known = ledger.outages.get(outage.id)
    assert (known.machine, known.request) == (machine, MOVE)
    assert (known.source, known.destination) == ("old-host", "kvm1")
    assert (known.phase, known.driver) == (OutagePhase.BEGUN, Life.ALIVE)
    assert known.deployment is None
    assert known.new is None


def test_phases_only_go_forward(ledger: Ledger, outage: Outage) -> None:
    ledger.outages.reached(outage.id, OutagePhase.SENT)
    ledger.outages.reached(outage.id, OutagePhase.OFF)
    assert ledger.outages.get(outage.id).phase is OutagePhase.SENT


def test_point_of_no_return_is_the_end_of_the_deployment(
    ledger: Ledger, transfer: Transfer, outage: Outage
) -> None:
    run = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.outages.lands(run.id, "ledger01-new", "uuid")
    known = ledger.outages.get(outage.id)
    assert known.phase is OutagePhase.DEFINED
    assert known.new is not None
    assert (known.new.run, known.new.name, known.new.uuid) == (run.id, "ledger01-new", "uuid")
    assert not ledger.is_completed(run.id)
    ledger.finish(run, RunState.COMPLETED)
    assert ledger.outages.get(outage.id).phase is OutagePhase.PROVEN
    ledger.finish(run, RunState.FAILED)
    assert ledger.is_completed(run.id)


def test_deployment_that_fails_is_no_return(
    ledger: Ledger, transfer: Transfer, outage: Outage
) -> None:
    run = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.finish(run, RunState.FAILED)
    assert ledger.outages.get(outage.id).phase is OutagePhase.BEGUN


def test_what_ends_no_outage_touches_none(ledger: Ledger, transfer: Transfer) -> None:
    run = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.outages.lands(run.id, "a", "b")
    ledger.finish(run, RunState.COMPLETED)
    assert ledger.outages.open() == []


def test_open_outages_are_listed_with_what_can_be_done(ledger: Ledger, outage: Outage) -> None:
    (known,) = ledger.outages.open()
    assert known.machine == "ledger01"
    assert "is under way" in known.sentence
    ledger.outages.reached(outage.id, OutagePhase.OFF)
    leave_to(ledger, dead())
    (known,) = ledger.outages.open()
    assert known.needs_a_decision
    assert "source shut off; the machine is off on old-host; nobody works on it" in known.sentence
    assert "tradewind move resume ledger01, or tradewind move rollback ledger01" in known.sentence
    ledger.outages.end(outage.id, OutageEnd.WENT_BACK)
    assert ledger.outages.open() == []


def test_no_way_back_is_offered_behind_the_point(ledger: Ledger, outage: Outage) -> None:
    ledger.outages.reached(outage.id, OutagePhase.PROVEN)
    leave_to(ledger, dead())
    (known,) = ledger.outages.open()
    assert "rollback" not in known.sentence


@pytest.mark.parametrize("kind", list(RunKind))
def test_nobody_else_begins_a_run_meanwhile(
    ledger: Ledger, transfer: Transfer, outage: Outage, kind: RunKind
) -> None:
    assert outage.phase is OutagePhase.BEGUN
    leave_to(ledger, dead())
    with pytest.raises(BusyError, match="is unfinished") as caught:
        ledger.begin(transfer, kind)
    assert "tradewind move resume ledger01" in caught.value.hint
    with pytest.raises(BusyError):
        ledger.outages.require_none("ledger01", "old-host", "kvm1")
    ledger.outages.require_none("another", "old-host", "kvm1")


def test_machine_of_an_outage_is_held_until_somebody_decides(
    ledger: Ledger, transfer: Transfer, outage: Outage
) -> None:
    run = ledger.begin(transfer, RunKind.DEPLOYMENT)
    assert ledger.life_of(run.id) is Life.ALIVE
    leave_to(ledger, dead())
    assert ledger.life_of(run.id) is Life.HELD
    ledger.abandon_dead()
    assert ledger.life_of(run.id) is Life.HELD
    ledger.finish(run, RunState.FAILED)
    ledger.outages.end(outage.id, OutageEnd.WENT_BACK)
    assert ledger.life_of(run.id) is Life.DEAD


def test_outage_is_taken_over_from_the_dead_only(ledger: Ledger, outage: Outage) -> None:
    elsewhere = owners.current().model_copy(update={"machine": "far", "host": "far"})
    leave_to(ledger, elsewhere)
    with pytest.raises(BusyError, match="on far may still work"):
        ledger.outages.take_over(outage.id)
    ledger.give_up("far")
    assert ledger.outages.take_over(outage.id).driver is Life.ALIVE


def test_ended_outage_is_not_taken_over(ledger: Ledger, outage: Outage) -> None:
    ledger.outages.end(outage.id, OutageEnd.MOVED)
    with pytest.raises(NotFoundError, match="has ended: moved"):
        ledger.outages.take_over(outage.id)


def test_outages_are_found_by_machine_and_place(ledger: Ledger, outage: Outage) -> None:
    assert ledger.outages.find("ledger01").id == outage.id
    assert ledger.outages.find(outage.machine.id, "old-host", "kvm1").id == outage.id
    with pytest.raises(NotFoundError, match="no move of “web” is unfinished") as caught:
        ledger.outages.find("web")
    assert "ledger01 (old-host → kvm1)" in caught.value.hint


def test_forgotten_transfer_takes_its_outages_along(
    ledger: Ledger, transfer: Transfer, outage: Outage
) -> None:
    ledger.outages.end(outage.id, OutageEnd.MOVED)
    ledger.forget_transfer(transfer.id)
    assert ledger.outages.open() == []
