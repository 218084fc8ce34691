# SPDX-License-Identifier: Apache-2.0
"""Machines that wait for a person, in the ledger."""

from datetime import UTC, datetime

import pytest

from tradewind.ledger import Ledger, kept, owners
from tradewind.model.ledger import Kept, Life, RunKind, RunState, Transfer
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB

DISKS = tuple(
    ReplicaVolume(
        disk_id=disk,
        volume=Volume(pool="fast", name=f"{disk}.qcow2", capacity=GiB, format="qcow2"),
        serial=f"tw{disk}",
        blank=False,
        generation=3,
        writer="0123456789ab",
    )
    for disk in ("sda", "sdb")
)


@pytest.fixture
def run(ledger: Ledger, transfer: Transfer) -> Run:
    ledger.plan_volumes(transfer.id, DISKS)
    return ledger.begin(transfer, RunKind.DEPLOYMENT)


def machine_of(run: Run) -> Kept:
    return Kept(
        run=run.id,
        transfer=run.transfer,
        domain="web's own",
        destination="kvm1",
        since=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        why="it did not boot",
    )


def test_what_the_witness_says_is_remembered(ledger: Ledger, run: Run) -> None:
    assert tuple(ledger.volumes(run.transfer)) == DISKS


def test_kept_machine_is_listed_until_it_is_accepted(ledger: Ledger, run: Run) -> None:
    kept.keep(ledger, machine_of(run), [])
    assert kept.all_kept(ledger) == [machine_of(run)]
    assert tuple(ledger.volumes(run.transfer)) == DISKS
    assert kept.destination_of(ledger, run.transfer) == "kvm1"
    assert kept.accept(ledger, run.id) == machine_of(run)
    assert kept.accept(ledger, run.id) is None
    assert kept.all_kept(ledger) == []


def test_commands_are_safe_to_paste(run: Run) -> None:
    assert "virsh undefine 'web'\"'\"'s own' --nvram" in machine_of(run).to_remove
    assert machine_of(run).to_keep == f"tradewind kept accept {run.id}"


def test_its_disks_are_no_replica_any_more(ledger: Ledger, run: Run) -> None:
    kept.keep(ledger, machine_of(run), ["sda"])
    assert tuple(ledger.volumes(run.transfer)) == DISKS[1:]
    kept.keep(ledger, machine_of(run), ["sda", "sdb"])  # a retried step
    assert ledger.volumes(run.transfer) == []
    assert len(kept.all_kept(ledger)) == 1


def test_run_that_kept_its_machine_did_not_simply_fail(ledger: Ledger, run: Run) -> None:
    """Nothing of it may be taken for what a failed run left."""
    kept.keep(ledger, machine_of(run), [])
    assert ledger.life_of(run.id) is Life.FINISHED
    ledger.finish(run, RunState.FAILED)
    assert ledger.life_of(run.id) is Life.FINISHED
    assert run.id not in ledger.ended_badly(run.transfer)
    kept.accept(ledger, run.id)
    assert ledger.life_of(run.id) is Life.FINISHED
    assert run.id not in ledger.ended_badly(run.transfer)


@pytest.mark.parametrize("who", ["next run", "sweep", "person"])
def test_run_that_died_while_it_kept_its_machine(
    ledger: Ledger, transfer: Transfer, who: str
) -> None:
    elsewhere = {"machine": "another", "host": "controller2"} if who == "person" else {}
    dead = owners.current().model_copy(update={"boot": "before", **elsewhere})
    run = ledger.begin(transfer, RunKind.DEPLOYMENT, dead)
    kept.keep(ledger, machine_of(run), [])
    if who == "next run":
        ledger.begin(transfer, RunKind.EXECUTION)
    elif who == "sweep":
        assert ledger.abandon_dead() == (run.id,)
    else:
        assert ledger.give_up("controller2") == (run.id,)
    assert ledger.ended_badly(transfer.id) == frozenset()
    assert ledger.life_of(run.id) is Life.FINISHED


def test_machine_of_a_run_that_failed_before_is_kept_from_now_on(ledger: Ledger, run: Run) -> None:
    ledger.finish(run, RunState.FAILED)
    assert run.id in ledger.ended_badly(run.transfer)
    kept.keep(ledger, machine_of(run), [])
    assert run.id not in ledger.ended_badly(run.transfer)


def test_what_could_not_be_kept_is_taken_back(ledger: Ledger, run: Run) -> None:
    kept.keep(ledger, machine_of(run), ["sda", "sdb"])
    kept.withdraw(ledger, machine_of(run), DISKS)
    assert tuple(ledger.volumes(run.transfer)) == DISKS
    ledger.finish(run, RunState.FAILED)
    assert run.id in ledger.ended_badly(run.transfer)


def test_kept_machine_outlives_its_transfer(ledger: Ledger, run: Run) -> None:
    kept.keep(ledger, machine_of(run), [])
    ledger.forget_transfer(run.transfer)
    assert kept.all_kept(ledger) == [machine_of(run)]
