# SPDX-License-Identifier: Apache-2.0
"""No byte on disks that somebody uses, whatever was killed, forged, or done by hand."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlmodel import select

import tasks.deploy.handover
import tasks.deploy.run
import tasks.transfer.streams
from flows.delete_replica import delete_replica
from flows.deploy import deploy
from flows.preflight import preflight
from flows.sweep import sweep
from flows.transfer import transfer
from tests.fakes.flow_stage import Stage
from tradewind.domainxml import labels
from tradewind.errors import BootFailedError, BusyError, OptionError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.host.storage import witness
from tradewind.ledger import Ledger, kept
from tradewind.ledger.tables import RunRow
from tradewind.model.ledger import Kept
from tradewind.model.preflight import PreflightRequest
from tradewind.model.requests import RemovalRequest
from tradewind.model.run import LabelState
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import MiB

PLAIN = """<domain type="test"><name>{name}</name>{more}<memory>1024</memory>
<os><type>hvm</type></os><devices>{disk}</devices></domain>"""
DISK = '<disk type="file" device="disk"><source file="{}"/><target dev="vda"/></disk>'


class Killed(BaseException):
    """The process ends here: nothing of its own tidies up."""


def killed(*_: object, **__: object) -> Any:
    raise Killed


@contextmanager
def killed_at(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, how: Callable[..., Any] = killed
) -> Iterator[None]:
    """Let a process die at a step; what it would have undone stays."""
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(owner, name, how)
        patch.setattr(tasks.deploy.run, "_undo", lambda *_: None)
        patch.setattr(tasks.deploy.run, "give_up", lambda *_: None)
        yield


def labelled_first(stage: Stage) -> Callable[..., Any]:
    """Die as versions before this one could: the machine has its label, the ledger knows nothing.

    A ledger that was restored looks the same.
    """

    def die(*_: object, **__: object) -> Any:
        label = domains.read_label(domains.require_domain(stage.host, "web01"))
        assert label is not None
        finished = label.model_copy(update={"state": LabelState.FINISHED})
        domains.write_label(stage.host, "web01", finished)
        raise Killed

    return die


def bury(stage: Stage) -> None:
    """The process of every run is dead."""
    with stage.ledger() as ledger, ledger.transaction() as session:
        for row in session.exec(select(RunRow)):
            row.owner = json.dumps(json.loads(row.owner) | {"started": 1})
            session.add(row)


def known_volumes(stage: Stage) -> list[ReplicaVolume]:
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        return ledger.volumes(known.id)


def waiting(stage: Stage) -> list[Kept]:
    with stage.ledger() as ledger:
        return kept.all_kept(ledger)


def streamed_onto(stage: Stage) -> list[str]:
    """Transfer, and name the files that were written."""
    seen: list[str] = []
    stage.instead_of_stream = lambda: seen.extend(stage.attached_paths())
    transfer(stage.transfer())
    return seen


def define_over(stage: Stage, path: str, name: str = "byhand") -> None:
    domains.define(stage.host, PLAIN.format(name=name, more="", disk=DISK.format(path)))


@pytest.mark.parametrize("runs", [True, False])
def test_killed_after_the_machine_was_finished_and_before_that_was_written_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    stage.make_replica()
    with killed_at(monkeypatch, tasks.deploy.handover, "_record", labelled_first(stage)):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    bury(stage)
    machine = domains.require_domain(stage.host, "web01")
    if not runs:
        domains.stop(stage.host, "web01")
    its_own = machine.XMLDesc()
    written = streamed_onto(stage)
    assert len(written) == 2
    assert not [path for path in written if path in its_own]
    assert domains.find_domain(stage.host, "web01") is not None
    (waits,) = waiting(stage)
    assert (waits.domain, waits.destination) == ("web01", stage.endpoint)
    assert "before that was written down" in waits.why


@pytest.mark.parametrize("after", ["deploy", "sweep", "delete"])
def test_other_runs_find_the_killed_deployment_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    stage.make_replica()
    replica = {each.volume.name for each in known_volumes(stage)}
    with killed_at(monkeypatch, tasks.deploy.handover, "_record", labelled_first(stage)):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    bury(stage)
    if after == "deploy":
        with pytest.raises(Exception, match="never completed"):
            deploy(stage.deploy(name="second"))
    elif after == "sweep":
        (report,) = sweep([stage.endpoint], options=stage.options)
        assert any("web01 is kept" in note for note in report.notes)
    else:
        asked = {"machine": "web01", "source": stage.endpoint, "destination": stage.endpoint}
        delete_replica(RemovalRequest.model_validate({**asked, "options": stage.options}))
    assert replica <= stage.volumes()
    assert len(waiting(stage)) == 1


def test_killed_before_the_machine_was_written_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is nobody's machine: it is removed, and the replica is one still."""
    stage.make_replica()
    replica = {each.volume.name for each in known_volumes(stage)}
    with killed_at(monkeypatch, tasks.deploy.handover, "_record"):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    bury(stage)
    report = transfer(stage.transfer())
    assert domains.find_domain(stage.host, "web01") is None
    assert {each.volume.name for each in report.plan.keep} == replica
    assert waiting(stage) == []


def test_killed_between_the_ledger_and_the_label(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is its owner's, with the disks that it has; the sweep writes the label."""
    stage.make_replica()
    with killed_at(monkeypatch, tasks.deploy.handover, "_finish_machine"):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    bury(stage)
    its_own = domains.require_domain(stage.host, "web01").XMLDesc()
    written = streamed_onto(stage)
    assert len(written) == 2
    assert not [path for path in written if path in its_own]
    sweep([stage.endpoint], options=stage.options)
    label = domains.read_label(domains.require_domain(stage.host, "web01"))
    assert label is not None
    assert label.state is LabelState.FINISHED
    assert waiting(stage) == []


def test_machine_that_somebody_defined_on_the_replica(stage: Stage) -> None:
    stage.make_replica()
    first = known_volumes(stage)[0].volume
    define_over(stage, storage.volume_path(stage.host, first))
    before = stage.volumes()
    with pytest.raises(BusyError, match=f"{first.name} by machine byhand"):
        transfer(stage.transfer())
    with pytest.raises(BusyError, match="by machine byhand"):
        deploy(stage.deploy(skip_os_morphing=True))
    assert not [line for line in stage.diary if line.startswith(("stream", "attach", "clone"))]
    assert stage.volumes() == before
    asked = PreflightRequest(transfer=stage.transfer())
    found = [each for area in preflight(asked).areas for each in area.findings]
    assert any("by machine byhand" in each.what for each in found)


def test_machine_that_is_defined_while_the_worker_boots(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was free when it was planned is looked at again before the first byte."""
    transfer(stage.transfer())
    first = known_volumes(stage)[0].volume
    stage.diary.clear()
    real = stage.launch

    def launch(*arguments: Any) -> Any:
        define_over(stage, storage.volume_path(stage.host, first))
        return real(*arguments)

    monkeypatch.setattr(tasks.transfer.streams, "launch", launch)
    with pytest.raises(BusyError, match="by machine byhand"):
        transfer(stage.transfer())
    assert not [line for line in stage.diary if line.startswith("stream")]


@pytest.mark.parametrize("how", ["by hand", "killed"])
def test_disk_and_volume_that_are_both_gone_are_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    transfer(stage.transfer())
    (gone,) = (each for each in known_volumes(stage) if each.disk_id == "sdb")
    stage.source.contents["web01"] = {"sda": bytes(MiB)}
    if how == "by hand":
        storage.delete_volume(stage.host, gone.volume.pool, gone.volume.name)
    else:
        with killed_at(monkeypatch, Ledger, "forget_volume"):
            transfer(stage.transfer())
        bury(stage)
    report = transfer(stage.transfer())
    assert [each.disk_id for each in report.disks] == ["sda"]
    assert [each.disk_id for each in known_volumes(stage)] == ["sda"]
    assert transfer(stage.transfer()).notes == ()
    sweep([stage.endpoint], options=stage.options)
    assert stage.witnesses() == {each.volume.name for each in known_volumes(stage)}


@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil", "/etc/passwd", ".hidden", "a\nb", "", "x" * 65]
)
def test_hostile_name_of_a_disk_is_refused(stage: Stage, name: str) -> None:
    stage.source.contents["web01"] = {name: bytes(MiB)}
    before = stage.volumes()
    with pytest.raises(OptionError, match="which is no name for a volume"):
        transfer(stage.transfer())
    assert stage.volumes() == before


def test_label_that_cannot_be_read_is_told_and_stops_nothing(stage: Stage) -> None:
    stage.make_replica()
    odd = f'<t:label xmlns:t="{labels.NAMESPACE}" run="y" new_field="1"/>'
    xml = PLAIN.format(name="newer", more=f"<metadata>{odd}</metadata>", disk="")
    domains.define(stage.host, xml)
    report = transfer(stage.transfer())
    assert any("machine newer on" in note for note in report.notes)
    (swept,) = sweep([stage.endpoint], options=stage.options)
    assert any("machine newer on" in note for note in swept.notes)
    assert "newer" in stage.domains()


def unproven() -> None:
    raise BootFailedError("machine web01 proves that it booted: not within 600 s")


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("choice", ["keep", "stop"])
def test_kept_machine_with_a_snapshot_outlives_transfer_and_sweep(
    stage: Stage, choice: str, hidden: bool
) -> None:
    """As `virsh snapshot-create-as --disk-only` leaves it: the definition names the tops only."""
    stage.make_replica()
    before = stage.volumes()
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError, match="tradewind kept list"):
        deploy(stage.deploy(on_boot_failure=choice))
    clones = stage.volumes() - before
    machine = domains.require_domain(stage.host, "web01")
    domains.stop(stage.host, "web01")
    xml = machine.XMLDesc()
    for clone in clones:
        if not hidden:
            top = Volume(pool="fast", name=f"{clone}.snap1", capacity=MiB, format="qcow2")
            below = storage.require_volume(stage.host, "fast", clone)
            storage.create_overlay(stage.host, top, below)
        xml = xml.replace(f"/pools/fast/{clone}", f"/pools/fast/{clone}.snap1")
    stage.host.defineXML(xml)
    (waits,) = waiting(stage)
    assert (waits.domain, waits.why) == ("web01", str(unproven_message()))
    assert "virsh undefine web01" in waits.to_remove
    bury(stage)
    transfer(stage.transfer())
    (report,) = sweep([stage.endpoint], options=stage.options)
    assert clones <= stage.volumes()
    assert report.dead == ()
    assert any("web01 waits for a person" in note for note in report.notes)
    with stage.ledger() as ledger:
        assert kept.accept(ledger, waits.run) == waits
        assert kept.accept(ledger, waits.run) is None
    sweep([stage.endpoint], options=stage.options)
    assert clones <= stage.volumes()


def unproven_message() -> str:
    try:
        unproven()
    except BootFailedError as error:
        return error.message
    raise AssertionError


def test_kept_machine_that_was_removed_waits_no_more(stage: Stage) -> None:
    stage.make_replica()
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError):
        deploy(stage.deploy(on_boot_failure="stop"))
    domains.destroy(stage.host, "web01")
    sweep([stage.endpoint], options=stage.options)
    assert waiting(stage) == []


def test_machine_that_cannot_be_kept_gives_the_replica_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.make_replica()
    replica = {each.volume.name for each in known_volumes(stage)}
    stage.instead_of_proof = unproven
    real = domains.write_label

    def refuse(connection: Any, name: str, label: Any) -> None:
        if label.state is LabelState.FINISHED:
            raise BusyError("the label is locked")
        real(connection, name, label)

    monkeypatch.setattr(domains, "write_label", refuse)
    with pytest.raises(BootFailedError, match="could not be kept"):
        deploy(stage.deploy(on_boot_failure="stop", clone_disks=False, skip_os_morphing=True))
    assert waiting(stage) == []
    assert {each.volume.name for each in known_volumes(stage)} == replica
    assert stage.domains() == set()
    report = transfer(stage.transfer())
    assert {each.volume.name for each in report.plan.keep} == replica


@pytest.mark.parametrize("died", [True, False])
def test_killed_while_a_machine_was_being_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, died: bool
) -> None:
    """Written down, and not yet labelled: it is kept all the same."""
    stage.make_replica()
    replica = {each.volume.name for each in known_volumes(stage)}
    stage.instead_of_proof = unproven
    real = domains.write_label

    def die(connection: Any, name: str, label: Any) -> None:
        if label.state is LabelState.FINISHED:
            raise Killed
        real(connection, name, label)

    with monkeypatch.context() as patch:
        patch.setattr(domains, "write_label", die)
        patch.setattr(kept, "withdraw", lambda *_: None)
        with killed_at(monkeypatch, tasks.deploy.handover, "_record"):
            deploy(stage.deploy(on_boot_failure="stop", clone_disks=False, skip_os_morphing=True))
    if died:
        bury(stage)
    sweep([stage.endpoint], options=stage.options)
    assert "web01" in stage.domains()
    assert replica <= stage.volumes()
    assert [each.domain for each in waiting(stage)] == ["web01"]


def test_forged_ledger_is_refused_and_both_sides_are_named(stage: Stage) -> None:
    for name in ("victim-a.qcow2", "victim-b.qcow2"):
        there = Volume(pool="fast", name=name, capacity=MiB, format="qcow2")
        storage.create_volume(stage.host, there)
    with stage.ledger() as ledger:
        machine = stage.source.inspect("web01")
        forged = ledger.note_transfer(stage.endpoint, stage.endpoint, machine)
        ledger.plan_volumes(
            forged.id,
            [
                ReplicaVolume(
                    disk_id=disk,
                    volume=Volume(pool="fast", name=name, capacity=MiB, format="qcow2"),
                    serial=f"tw{disk}",
                    blank=False,
                )
                for disk, name in (("sda", "victim-a.qcow2"), ("gone", "victim-b.qcow2"))
            ],
        )
    before = stage.volumes()
    with pytest.raises(BusyError, match=r"victim-[ab]\.qcow2 .*has no witness") as caught:
        transfer(stage.transfer())
    assert forged.id in caught.value.message
    asked = {"machine": "web01", "source": stage.endpoint, "destination": stage.endpoint}
    with pytest.raises(BusyError, match="has no witness"):
        delete_replica(RemovalRequest.model_validate({**asked, "options": stage.options}))
    assert stage.volumes() == before
    assert not [line for line in stage.diary if line.startswith(("stream", "attach"))]


def test_volume_of_another_transfer_is_refused(stage: Stage) -> None:
    stage.source.contents["web02"] = {"sda": bytes(MiB)}
    transfer(stage.transfer(machine="web02"))
    with stage.ledger() as ledger:
        other = ledger.find_transfer(stage.endpoint, stage.endpoint, "web02")
        machine = stage.source.inspect("web01")
        mine = ledger.note_transfer(stage.endpoint, stage.endpoint, machine)
        (theirs,) = ledger.volumes(other.id)
        ledger.plan_volumes(mine.id, [theirs])
    stage.diary.clear()
    with pytest.raises(BusyError, match=f"belongs to transfer {other.id}") as caught:
        transfer(stage.transfer())
    assert f"disk sda of transfer {mine.id}" in caught.value.message
    assert "virsh vol-delete" in caught.value.hint
    assert not [line for line in stage.diary if line.startswith(("stream", "attach"))]


def test_replica_of_a_version_before_witnesses_is_adopted(stage: Stage) -> None:
    transfer(stage.transfer())
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        old = [
            each.model_copy(update={"generation": 0, "writer": ""})
            for each in ledger.volumes(known.id)
        ]
        ledger.plan_volumes(known.id, old)
    for each in old:
        witness.remove(stage.host, each.volume)
    deploy(stage.deploy(skip_os_morphing=True))  # it says nothing against it
    stage.diary.clear()
    report = transfer(stage.transfer())
    assert sum("is adopted" in note for note in report.notes) == 2
    assert "stream sda sdb (unknown)" in stage.diary
    assert {each.volume.name for each in report.plan.keep} == stage.witnesses()
    assert transfer(stage.transfer()).notes == ()


def test_witness_of_a_volume_in_a_pool_of_blocks_lies_with_the_worker_image(
    stage: Stage,
) -> None:
    transfer(stage.transfer(overrides={"default_storage_pool": "vg"}))
    volumes = [each.volume for each in known_volumes(stage)]
    assert {each.pool for each in volumes} == {"vg"}
    for volume in volumes:
        there = storage.find_volume(stage.host, "images", f"vg-{volume.name}{witness.SUFFIX}")
        assert there is not None
    sweep([stage.endpoint], options=stage.options)
    assert transfer(stage.transfer()).notes == ()
    asked = {"machine": "web01", "source": stage.endpoint, "destination": stage.endpoint}
    delete_replica(RemovalRequest.model_validate({**asked, "options": stage.options}))
    assert stage.witnesses() == set()
