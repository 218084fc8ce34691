# SPDX-License-Identifier: Apache-2.0
"""Exactly one machine: whatever fails in an outage, and whoever takes it up afterwards."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlmodel import Session, select

import tasks.deploy.handover
import tasks.deploy.machines
import tasks.deploy.run
import tasks.move.cutover
import tasks.move.outage_end
import tasks.publish
import tasks.transfer.executions
from flows.delete_replica import delete_replica
from flows.deploy import deploy
from flows.migrate import migrate
from flows.resume_move import resume_move
from flows.roll_back_move import roll_back_move
from flows.transfer import transfer
from tests.fakes.flow_stage import Stage
from tests.flows.test_migrate import LANDING, request
from tradewind import ending
from tradewind.errors import (
    BadInputError,
    BootFailedError,
    BusyError,
    ConnectionFailedError,
    FencingError,
    LateError,
)
from tradewind.host import leftovers
from tradewind.host.domain import domains
from tradewind.ledger import Ledger
from tradewind.ledger.tables import OutageRow, RunRow
from tradewind.model.cutover import MoveName
from tradewind.model.ledger import Life, RunKind, RunState
from tradewind.model.network import NetworkMap
from tradewind.model.outage import OutageEnd, OutagePhase
from tradewind.model.requests import RemovalRequest
from tradewind.model.run import LabelState

NEW = "web01-new"


@pytest.fixture
def survived() -> Iterator[list[int]]:
    """SIGTERM reaches us and not the default; Prefect sends it again when the flow has ended."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def running(stage: Stage) -> list[str]:
    """Name the machines of this identity that run: the original, the new one."""
    original = [] if "web01" in stage.source.off else ["original"]
    new = [each for each in stage.host.listAllDomains() if each.name() == NEW and each.isActive()]
    return original + [NEW for _ in new]


def outages(stage: Stage) -> list[tuple[str, str | None]]:
    """Give phase and end of each outage, as the table has them."""
    with stage.ledger() as ledger, Session(ledger._engine) as session:
        return [(row.phase, row.end) for row in session.exec(select(OutageRow))]


def label_of(stage: Stage, name: str = NEW) -> LabelState:
    label = domains.read_label(domains.require_domain(stage.host, name))
    assert label is not None
    return label.state


def named(stage: Stage, **changes: Any) -> MoveName:
    ends = {"machine": "web01", "source": stage.endpoint, "destination": stage.endpoint}
    return MoveName.model_validate({**ends, "options": stage.options, **changes})


def bury(stage: Stage) -> None:
    """Let every process that the ledger knows be dead."""
    with stage.ledger() as ledger, Session(ledger._engine) as session, session.begin():
        for run in session.exec(select(RunRow)):
            run.owner = json.dumps({**json.loads(run.owner), "started": 1})
        for row in session.exec(select(OutageRow)):
            row.owner = row.owner and json.dumps({**json.loads(row.owner), "started": 1})


class KilledError(SystemExit):
    """What stands for SIGKILL: nothing is given back after it."""


@contextmanager
def killed(stage: Stage, patch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lend a death, and bury who died: nobody gave anything back, nobody wrote anything down."""
    with patch.context() as inside:
        inside.setattr(tasks.move.outage_end, "_settle", lambda *_: None)
        for module in (tasks.deploy.run, tasks.transfer.executions):
            inside.setattr(module, "give_up", lambda *_: None)
        inside.setattr(tasks.deploy.run, "_undo", lambda *_: None)

        def die() -> None:
            raise KilledError

        with pytest.raises(KilledError):
            yield die
    bury(stage)
    ending.forget()


def die_at(stage: Stage, phase: OutagePhase, patch: pytest.MonkeyPatch) -> None:
    """Move web01, and be killed when the ledger knows this phase and nothing after it."""
    with killed(stage, patch) as die, patch.context() as inside:
        after = {
            OutagePhase.BEGUN: ("instead_of_shutdown", die),
            OutagePhase.OFF: ("instead_of_stream", in_the_outage(stage, die)),
            OutagePhase.SENT: ("instead_of_morph", die),
            OutagePhase.DEFINED: ("instead_of_proof", die),
        }
        if phase in after:
            inside.setattr(stage, *after[phase])
        else:
            inside.setattr(tasks.deploy.handover, "finish_machine", lambda *_, **__: die())
        migrate(request(stage))
    assert outages(stage) == [(phase, None)]


def in_the_outage(stage: Stage, act: Callable[[], None]) -> Callable[[], None]:
    return lambda: act() if "shut down web01" in stage.diary else None


def away(*_: object, **__: object) -> None:
    raise httpx.ConnectError("All connection attempts failed")


# What fails behind the point of no return changes nothing


def test_report_that_cannot_be_published_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.publish, "create_markdown_artifact", away)
    migrate(request(stage))
    assert running(stage) == [NEW]
    assert outages(stage) == [(OutagePhase.PROVEN, OutageEnd.MOVED)]


def test_sigterm_behind_the_point_ends_the_run_and_not_the_move(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, survived: list[int]
) -> None:
    def stopped(*_: object, key: str, **__: object) -> None:
        if key.startswith("deploy"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)

    monkeypatch.setattr(tasks.publish, "create_markdown_artifact", stopped)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - Prefect's TerminationSignal
        migrate(request(stage))
    assert not isinstance(caught.value, Exception)
    assert running(stage) == [NEW]
    assert label_of(stage) is LabelState.FINISHED
    assert outages(stage) == [(OutagePhase.PROVEN, OutageEnd.MOVED)]
    assert any("has moved: the new machine is proven" in note for note in caught.value.__notes__)
    assert survived


def test_ledger_that_is_away_behind_the_point_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BadInputError("ledger: no answer")

    with monkeypatch.context() as patch:
        patch.setattr(tasks.move.outage_end, "_end", gone)
        migrate(request(stage))
    assert running(stage) == [NEW]
    assert outages(stage) == [(OutagePhase.PROVEN, None)]
    bury(stage)
    assert resume_move(named(stage)).end is OutageEnd.MOVED
    assert outages(stage) == [(OutagePhase.PROVEN, OutageEnd.MOVED)]
    assert running(stage) == [NEW]


def test_label_that_cannot_be_written_is_written_by_the_sweep(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = domains.write_label

    def broken(*_: object) -> None:
        raise ConnectionFailedError("the host went away")

    stage.source.autostart.add("web01")
    monkeypatch.setattr(domains, "write_label", broken)
    migrate(request(stage))
    monkeypatch.setattr(domains, "write_label", real)
    assert running(stage) == [NEW]
    assert label_of(stage) is LabelState.TEMPORARY
    (left,) = [each for each in leftovers.find(stage.host) if each.name == NEW]
    with stage.ledger() as ledger:
        assert ledger.life_of(left.run) is Life.FINISHED
    leftovers.finish_machine(stage.host, NEW, autostart=True)
    assert label_of(stage) is LabelState.FINISHED
    assert domains.starts_with_host(domains.require_domain(stage.host, NEW))


# Before the point every failure goes back, and only when the new machine is proven gone


def test_ledger_that_does_not_take_the_point_sends_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Ledger.finish

    def full(ledger: Ledger, run: Any, state: RunState, *more: Any, **named: Any) -> None:
        if state is RunState.COMPLETED:
            raise BadInputError("ledger: the disk is full")
        real(ledger, run, state, *more, **named)

    monkeypatch.setattr(Ledger, "finish", full)
    with pytest.raises(BadInputError, match="disk is full"):
        migrate(request(stage))
    assert running(stage) == ["original"]
    assert NEW not in stage.domains()
    assert [end for _, end in outages(stage)] == [OutageEnd.WENT_BACK]


def test_answer_of_the_ledger_that_is_lost_does_not_send_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written: whoever went back now would have two machines."""
    real = Ledger.finish

    def lost(ledger: Ledger, run: Any, state: RunState, *more: Any, **named: Any) -> None:
        real(ledger, run, state, *more, **named)
        if state is RunState.COMPLETED:
            raise BadInputError("ledger: the connection broke")

    monkeypatch.setattr(Ledger, "finish", lost)
    with pytest.raises(BadInputError, match="connection broke"):
        migrate(request(stage))
    assert running(stage) == [NEW]
    assert outages(stage) == [(OutagePhase.PROVEN, OutageEnd.MOVED)]


def test_destination_out_of_reach_leaves_the_original_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unreachable(_access: object) -> Iterator[None]:
        raise LateError("new.example:22: no route to the host")
        yield

    def cut() -> None:
        for module in (tasks.environment, tasks.move.outage_end):
            monkeypatch.setattr(module, "connect", unreachable)
        raise LateError("new.example: the connection broke")

    stage.instead_of_proof = cut
    with pytest.raises(LateError, match="the connection broke") as caught:
        migrate(request(stage))
    assert running(stage) == [NEW]
    assert outages(stage) == [(OutagePhase.DEFINED, None)]
    (said,) = [note for note in caught.value.__notes__ if "could NOT be started" in note]
    for word in (
        "no route to the host",
        "virsh domstate web01-new",
        "move resume",
        "move rollback",
    ):
        assert word in said


def test_ledger_that_does_not_answer_leaves_the_original_off_once_a_machine_may_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BadInputError("ledger: no answer")

    def lose_the_ledger() -> None:
        monkeypatch.setattr(Ledger, "is_completed", gone)
        monkeypatch.setattr(tasks.move.outage_end, "_read", gone)
        raise BootFailedError("no proof")

    stage.instead_of_proof = lose_the_ledger
    with pytest.raises(BootFailedError):
        migrate(request(stage))
    assert running(stage) == [NEW]


def test_ledger_that_does_not_answer_before_the_deployment_keeps_nobody_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BadInputError("ledger: no answer")

    def lose_the_ledger() -> None:
        monkeypatch.setattr(tasks.move.outage_end, "_read", gone)
        monkeypatch.setattr(tasks.move.outage_end, "_end", gone)
        raise BadInputError("broke")

    stage.instead_of_stream = in_the_outage(stage, lose_the_ledger)
    with pytest.raises(BadInputError, match="broke") as caught:
        migrate(request(stage))
    assert running(stage) == ["original"]
    assert any("the ledger does not know that" in note for note in caught.value.__notes__)


def test_autostart_is_off_before_the_shutdown_and_restored_on_the_way_back(stage: Stage) -> None:
    stage.source.autostart.add("web01")
    seen: list[bool] = []
    stage.instead_of_shutdown = lambda: seen.append("web01" in stage.source.autostart)

    def fail() -> None:
        seen.append(domains.starts_with_host(domains.require_domain(stage.host, NEW)))
        raise LateError("no proof")

    stage.instead_of_proof = fail
    with pytest.raises(LateError):
        migrate(request(stage))
    assert seen == [False, False]
    assert stage.source.autostart == {"web01"}
    stage.instead_of_proof = lambda: None
    migrate(request(stage))
    assert stage.source.autostart == set()
    assert domains.starts_with_host(domains.require_domain(stage.host, NEW))


def test_undo_removes_a_machine_that_the_ledger_has_not_completed_whatever_its_label(
    stage: Stage,
) -> None:
    def mark_and_fail() -> None:
        label = domains.read_label(domains.require_domain(stage.host, NEW))
        assert label is not None
        finished = label.model_copy(update={"state": LabelState.FINISHED})
        domains.write_label(stage.host, NEW, finished)
        raise LateError("no proof")

    stage.instead_of_proof = mark_and_fail
    before = stage.volumes()
    with pytest.raises(LateError):
        migrate(request(stage))
    assert running(stage) == ["original"]
    assert NEW not in stage.domains()
    assert not [name for name in stage.volumes() - before if name.startswith("tradewind-")]


def test_machine_with_its_name_and_without_its_label_is_not_touched(stage: Stage) -> None:
    def edit_and_fail() -> None:
        domain = domains.require_domain(stage.host, NEW)
        xml = domain.XMLDesc()
        start, end = xml.index("<metadata>"), xml.index("</metadata>")
        domain.destroy()
        domain.undefine()
        stage.host.defineXML(xml[:start] + xml[end + len("</metadata>") :]).create()
        raise LateError("no proof")

    stage.instead_of_proof = edit_and_fail
    with pytest.raises(LateError) as caught:
        migrate(request(stage))
    assert running(stage) == [NEW]
    assert any("without its label" in note for note in caught.value.__notes__)


def test_new_machine_that_somebody_renamed_is_not_touched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(stage, OutagePhase.DEFINED, monkeypatch)
    domain = domains.require_domain(stage.host, NEW)
    xml = domain.XMLDesc().replace(f"<name>{NEW}<", "<name>mine<")
    domain.destroy()
    domain.undefine()
    stage.host.defineXML(xml).create()
    for flow in (resume_move, roll_back_move):
        with pytest.raises(FencingError, match="is called “mine”") as caught:
            flow(named(stage))
        assert "virsh domrename mine web01-new" in caught.value.hint
    assert domains.require_domain(stage.host, "mine").isActive()
    assert "web01" in stage.source.off


def test_original_that_somebody_edited_is_not_started(stage: Stage) -> None:
    def edit_and_fail() -> None:
        stage.source.contents["web01"]["sdb"] = bytes(4 << 20)
        raise LateError("no proof")

    stage.instead_of_proof = edit_and_fail
    with pytest.raises(LateError) as caught:
        migrate(request(stage))
    assert running(stage) == []
    assert any("was edited since its outage began (its disks)" in n for n in caught.value.__notes__)
    bury(stage)
    with pytest.raises(FencingError, match="--accept-edits"):
        roll_back_move(named(stage))
    assert running(stage) == []
    roll_back_move(named(stage, accept_edits=True))
    assert running(stage) == ["original"]


# A process that died in the outage

PHASES = list(OutagePhase)


@pytest.mark.parametrize("phase", PHASES)
def test_outage_of_a_dead_process_is_finished(
    stage: Stage, phase: OutagePhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(stage, phase, monkeypatch)
    stage.source.off.add("web01")  # a shutdown that was asked for comes true
    stage.diary.clear()
    report = resume_move(named(stage))
    assert report.end is OutageEnd.MOVED
    assert running(stage) == [NEW]
    assert label_of(stage) is LabelState.FINISHED
    assert outages(stage) == [(OutagePhase.PROVEN, OutageEnd.MOVED)]
    streamed = any(line.startswith("stream") for line in stage.diary)
    assert streamed is (phase in {OutagePhase.BEGUN, OutagePhase.OFF, OutagePhase.SENT})


@pytest.mark.parametrize("phase", PHASES[:-1])
def test_outage_of_a_dead_process_is_undone(
    stage: Stage, phase: OutagePhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.source.autostart.add("web01")
    die_at(stage, phase, monkeypatch)
    assert stage.source.autostart == set()
    report = roll_back_move(named(stage))
    assert report.end is OutageEnd.WENT_BACK
    assert running(stage) == ["original"]
    assert stage.source.autostart == {"web01"}
    assert NEW not in stage.domains()
    assert [end for _, end in outages(stage)] == [OutageEnd.WENT_BACK]
    migrate(request(stage))
    assert running(stage) == [NEW]


def test_there_is_no_way_back_behind_the_point(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(stage, OutagePhase.PROVEN, monkeypatch)
    with pytest.raises(BadInputError, match="behind its point of no return"):
        roll_back_move(named(stage))
    assert running(stage) == [NEW]


@pytest.mark.parametrize("phase", [OutagePhase.OFF, OutagePhase.DEFINED, OutagePhase.PROVEN])
def test_nobody_else_works_on_a_machine_whose_outage_is_open(
    stage: Stage, phase: OutagePhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer removes what dead runs left: here that may be the only machine there is."""
    die_at(stage, phase, monkeypatch)
    before = running(stage)
    removal = RemovalRequest.model_validate(
        {
            "machine": "web01",
            "source": stage.endpoint,
            "destination": stage.endpoint,
            "options": stage.options,
        }
    )
    again = stage.deploy(name="another", network_map=NetworkMap(default="lan"))
    attempts: list[Callable[[], object]] = [
        lambda: transfer(stage.transfer()),
        lambda: migrate(request(stage)),
        lambda: deploy(again),
        lambda: delete_replica(removal),
    ]
    for attempt in attempts:
        with pytest.raises(BusyError, match="is unfinished: its outage began") as caught:
            attempt()
        assert "tradewind move resume web01" in caught.value.hint
    assert running(stage) == before
    with stage.ledger() as ledger:
        lives = {ledger.life_of(each.run) for each in leftovers.find(stage.host)}
    assert Life.DEAD not in lives or phase is OutagePhase.OFF


def test_outage_is_taken_over_from_the_dead_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(stage, OutagePhase.DEFINED, monkeypatch)
    with stage.ledger() as ledger, Session(ledger._engine) as session, session.begin():
        row = session.exec(select(OutageRow)).one()
        assert row.owner is not None
        row.owner = json.dumps({**json.loads(row.owner), "host": "far", "machine": "far"})
        session.add(row)
    for flow in (resume_move, roll_back_move):
        with pytest.raises(BusyError, match="on far may still work") as caught:
            flow(named(stage))
        assert "tradewind controller forget far" in caught.value.hint
    with stage.ledger() as ledger:
        ledger.give_up("far")
    assert roll_back_move(named(stage)).end is OutageEnd.WENT_BACK


def test_original_that_somebody_started_is_not_moved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at(stage, OutagePhase.DEFINED, monkeypatch)
    stage.source.off.discard("web01")
    with pytest.raises(FencingError, match=r"web01 runs on .*: somebody has started it"):
        resume_move(named(stage))


def test_original_that_is_gone_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    die_at(stage, OutagePhase.OFF, monkeypatch)
    stage.source.contents["elsewhere"] = stage.source.contents.pop("web01")
    for flow in (resume_move, roll_back_move):
        with pytest.raises(FencingError, match=r"is not on .* any more"):
            flow(named(stage))


def test_new_machine_that_does_not_prove_itself_is_left_to_a_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have run for hours, and people may work with it."""
    die_at(stage, OutagePhase.DEFINED, monkeypatch)

    def unproven() -> None:
        raise BootFailedError("no proof")

    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError):
        resume_move(named(stage))
    assert running(stage) == [NEW]
    assert outages(stage) == [(OutagePhase.DEFINED, None)]


def test_resumed_move_that_fails_goes_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    die_at(stage, OutagePhase.SENT, monkeypatch)

    def broken() -> None:
        raise LateError("the guest could not be adapted")

    stage.instead_of_morph = broken
    with pytest.raises(LateError):
        resume_move(named(stage))
    assert running(stage) == ["original"]
    assert [end for _, end in outages(stage)] == [OutageEnd.WENT_BACK]


def test_nothing_is_unfinished(stage: Stage) -> None:
    migrate(request(stage, deploy_options=LANDING))
    with pytest.raises(BadInputError, match="no move of “web01” is unfinished"):
        resume_move(named(stage))


def test_deployment_of_its_own_ends_no_outage(stage: Stage) -> None:
    stage.make_replica()
    deploy(stage.deploy())
    assert outages(stage) == []
    with stage.ledger() as ledger:
        known = ledger.find_synced(stage.endpoint, stage.endpoint, "web01")
        assert {run.kind for run in ledger.latest_runs(known.id)} >= {RunKind.DEPLOYMENT}
