# SPDX-License-Identifier: Apache-2.0
"""A backup of the ledger is restored: the next run of each kind refuses or repairs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tasks.transfer.streams
from flows.delete_replica import delete_replica
from flows.deploy import deploy
from flows.migrate import migrate
from flows.sweep import sweep
from flows.transfer import transfer
from tests.fakes.flow_stage import Stage
from tests.flows.test_disks_of_others import define_over, known_volumes, streamed_onto
from tests.flows.test_migrate import request as move
from tradewind.errors import BusyError, ConnectionFailedError, MorphingError
from tradewind.host import storage
from tradewind.host.domain import domains, label_sync
from tradewind.host.storage import witness
from tradewind.model.ledger import Life
from tradewind.model.requests import RemovalReport, RemovalRequest
from tradewind.model.storage import WitnessState


@pytest.fixture
def replica(stage: Stage) -> set[str]:
    """A replica that is up to date, with a checkpoint; its volumes."""
    transfer(stage.transfer())
    stage.diary.clear()
    return {each.volume.name for each in known_volumes(stage)}


@contextmanager
def restored_afterwards(stage: Stage) -> Iterator[None]:
    """Back the ledger up, let something happen, and restore the backup."""
    backup = Path(stage.ledger_place).with_suffix(".backup")
    shutil.copy(stage.ledger_place, backup)
    yield
    shutil.copy(backup, stage.ledger_place)
    stage.diary.clear()


def removal(stage: Stage) -> RemovalReport:
    asked = {"machine": "web01", "source": stage.endpoint, "destination": stage.endpoint}
    return delete_replica(RemovalRequest.model_validate({**asked, "options": stage.options}))


def said(stage: Stage) -> list[tuple[int, str, WitnessState]]:
    found = [witness.read(stage.host, each.volume) for each in known_volumes(stage)]
    return [(each.generation, each.run, each.state) for each in found if each]


def test_witnesses_and_ledger_agree_while_all_is_well(stage: Stage, replica: set[str]) -> None:
    for _ in range(2):
        report = transfer(stage.transfer())
        assert report.notes == ()
        known = [(each.generation, each.writer) for each in known_volumes(stage)]
        assert [each[:2] for each in said(stage)] == known
        assert {each[1:] for each in said(stage)} == {(report.run, WitnessState.COMPLETE)}
    assert "stream sda sdb (at checkpoint)" in stage.diary
    assert stage.witnesses() == replica


def test_transfer_compares_all_of_a_replica_of_another_day(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        today = transfer(stage.transfer()).run
    report = transfer(stage.transfer())
    assert "stream sda sdb (unknown)" in stage.diary
    assert sum(today in note and "all of it is compared" in note for note in report.notes) == 2
    assert all("the ledger knows generation" in note for note in report.notes)
    assert {each.volume.name for each in report.plan.keep} == replica
    # From here on both agree again.
    assert transfer(stage.transfer()).notes == ()
    assert "stream sda sdb (at checkpoint)" in stage.diary


def test_volume_that_was_blank_yesterday_is_not_taken_for_blank(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MorphingError("the writer did not start")

    with monkeypatch.context() as patch:
        patch.setattr(tasks.transfer.streams, "launch", broken)
        with pytest.raises(MorphingError):
            transfer(stage.transfer())
    assert all(each.blank for each in known_volumes(stage))
    with restored_afterwards(stage):
        transfer(stage.transfer())
        assert "stream sda sdb (blank)" in stage.diary
    transfer(stage.transfer())
    assert "stream sda sdb (unknown)" in stage.diary


@pytest.mark.parametrize("rehearse", [True, False])
def test_deployment_of_a_replica_of_another_day_is_refused(
    stage: Stage, replica: set[str], rehearse: bool
) -> None:
    with restored_afterwards(stage):
        transfer(stage.transfer())
    before = stage.volumes()
    with pytest.raises(BusyError, match="is not what this ledger knows") as caught:
        deploy(stage.deploy(rehearse=rehearse, skip_os_morphing=True))
    assert "run the transfer" in caught.value.hint
    assert stage.volumes() == before
    transfer(stage.transfer())
    deploy(stage.deploy(rehearse=rehearse, skip_os_morphing=True))
    assert stage.domains() == (set() if rehearse else {"web01"})


def test_move_repairs(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        transfer(stage.transfer())
    migrate(move(stage))
    assert stage.domains() == {"web01-new"}
    assert "web01" in stage.source.off


def test_sweep_leaves_what_it_does_not_know(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        deploy(stage.deploy(skip_os_morphing=True))
    there = stage.volumes()
    (report,) = sweep([stage.endpoint], options=stage.options)
    assert report.dead == ()
    assert stage.volumes() == there
    assert stage.witnesses() == replica
    assert "web01" in stage.domains()


@pytest.mark.parametrize("then", ["transfer", "deploy", "sweep", "delete"])
@pytest.mark.parametrize("defined", [True, False])
def test_machine_that_the_replica_became_today_keeps_its_disks(
    stage: Stage, replica: set[str], defined: bool, then: str
) -> None:
    """Yesterday they were a replica's; and its owner may have undefined it for the moment."""
    with restored_afterwards(stage):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    machine = domains.require_domain(stage.host, "web01")
    its_own = machine.XMLDesc()
    if not defined:
        machine.destroy()
        machine.undefine()
    if then == "transfer":
        written = streamed_onto(stage)
        assert len(written) == 2
        assert not [path for path in written if path in its_own]
    elif then == "deploy":
        with pytest.raises((BusyError, Exception), match=r"never completed|is not what this"):
            deploy(stage.deploy(name="second", skip_os_morphing=True))
    elif then == "sweep":
        sweep([stage.endpoint], options=stage.options)
    else:
        assert removal(stage).volumes == ()
    assert replica <= stage.volumes()
    assert ("web01" in stage.domains()) is defined


def test_volumes_that_cannot_be_told_keep_no_deployment_from_ending(
    stage: Stage, replica: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is out of reach when the machine is finished and written down."""

    def away(*_: object) -> None:
        raise ConnectionFailedError("the host is away")

    monkeypatch.setattr(label_sync, "hand_over", away)
    report = deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    with stage.ledger() as ledger:
        assert ledger.life_of(report.deployment) is Life.FINISHED
    assert known_volumes(stage) == []
    assert replica <= stage.volumes()


def test_deletion_of_a_replica_of_another_day(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        transfer(stage.transfer())
    assert {each.name for each in removal(stage).volumes} == replica
    assert stage.volumes() == {"worker.qcow2"}
    assert stage.witnesses() == set()


def test_replica_that_was_deleted_today_is_made_anew(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        removal(stage)
    report = transfer(stage.transfer())
    assert {each.volume.name for each in report.plan.create} == replica
    assert "stream sda sdb (blank)" in stage.diary


def test_replica_that_was_made_today_is_left_alone(stage: Stage) -> None:
    """The ledger does not even know the transfer: that one made its volumes under another name."""
    with restored_afterwards(stage):
        transfer(stage.transfer())
        made = {each.volume.name for each in known_volumes(stage)}
    report = transfer(stage.transfer())
    assert report.full
    assert made <= stage.volumes()
    assert not made & {each.volume.name for each in report.plan.create}


def test_disk_that_somebody_took_meanwhile_is_refused(stage: Stage, replica: set[str]) -> None:
    with restored_afterwards(stage):
        first = known_volumes(stage)[0].volume
        define_over(stage, storage.volume_path(stage.host, first))
    with pytest.raises(BusyError, match="by machine byhand"):
        transfer(stage.transfer())
    with pytest.raises(BusyError, match="by machine byhand"):
        removal(stage)
    assert replica <= stage.volumes()
