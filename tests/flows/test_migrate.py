# SPDX-License-Identifier: Apache-2.0
"""A whole move: the order of its steps, and the way back when it fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.artifacts import Artifact

from flows.migrate import migrate
from tasks.move import approval
from tasks.move.approval import Decision
from tests.fakes.flow_stage import Stage
from tradewind.errors import (
    BadInputError,
    BootFailedError,
    CancelledError,
    LateError,
    OptionError,
    StreamError,
)
from tradewind.host.domain import domains
from tradewind.host.target import objections
from tradewind.model.deploy_options import DeployOptions, OnBootFailure
from tradewind.model.migrate import Answer, Go, MigrateRequest
from tradewind.model.network import NetworkMap
from tradewind.model.source import BlockedWork, SourceState

LANDING = DeployOptions(name="web01-new", network_map=NetworkMap(default="lan"))


def request(stage: Stage, **changes: Any) -> MigrateRequest:
    plain = {"transfer": stage.transfer(), "deploy_options": LANDING, "go": Go.AT_ONCE, "rounds": 2}
    return MigrateRequest.model_validate({**plain, **changes})


def after_shutdown(stage: Stage) -> list[str]:
    return stage.diary[stage.diary.index("shut down web01") :]


def fail(error: Exception) -> Any:
    def raise_it() -> None:
        raise error

    return raise_it


def test_worker_and_volumes_are_ready_before_the_shutdown(stage: Stage) -> None:
    report = migrate(request(stage))
    before = stage.diary[: stage.diary.index("shut down web01")]
    assert before[-6:] == [
        "start worker transfer",
        "create seed",
        "worker answers transfer",
        "attach sda",
        "attach sdb",
        "start writer",
    ]
    after = after_shutdown(stage)
    assert after[:4] == [
        "shut down web01",
        "freeze web01",
        "replica changes",
        "stream sda sdb (at checkpoint)",
    ]
    assert "prove web01-new (agent expected)" in after
    assert "start web01 again" not in after
    assert len(report.rounds) == 1
    assert report.outage[0].name == "shutdown"
    assert report.outage_seconds == pytest.approx(sum(p.seconds for p in report.outage))
    assert stage.source.off == {"web01"}


def test_rounds_end_when_little_is_left_or_when_they_are_used_up(stage: Stage) -> None:
    assert len(migrate(request(stage, small_enough=0, rounds=3)).rounds) == 3


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("instead_of_proof", LateError("machine web01-new did not prove that it booted")),
        ("instead_of_shutdown", LateError("machine web01 did not shut down within 300 s")),
    ],
)
def test_source_is_started_again_when_anything_fails_after_the_shutdown_began(
    stage: Stage, where: str, error: Exception
) -> None:
    setattr(stage, where, fail(error))
    with pytest.raises(LateError) as caught:
        migrate(request(stage))
    assert "start web01 again" in after_shutdown(stage)
    assert f"web01 runs on {stage.endpoint} again" in caught.value.__notes__
    assert "web01-new" not in stage.domains()
    assert stage.source.off == set()
    told = str(getattr(Artifact.get("migrate-web01"), "data", None))
    assert error.args[0] in told
    assert f"**web01 runs on {stage.endpoint} again.**" in told


def test_last_changes_that_break_off_are_sent_in_another_attempt(stage: Stage) -> None:
    """One interruption is no reason to give up: the machine stays off meanwhile."""
    broken = iter([fail(StreamError("the connection broke"))] * 2)

    def break_in_the_outage() -> None:
        if "shut down web01" in stage.diary:
            next(broken, lambda: None)()

    stage.instead_of_stream = break_in_the_outage
    report = migrate(request(stage, rounds=1))
    assert stage.diary.count("shut down web01") == 1
    assert next(broken, None) is None
    assert "start web01 again" not in stage.diary
    assert report.deployment.domain == "web01-new"


def test_way_back_that_fails_is_told_beside_the_cause(stage: Stage) -> None:
    stage.instead_of_proof = fail(LateError("no proof"))
    stage.instead_of_way_back = fail(LateError("the source is on fire"))
    with pytest.raises(LateError, match="no proof") as caught:
        migrate(request(stage))
    assert any("could NOT be started" in note for note in caught.value.__notes__)
    assert any("the source is on fire" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("choice", ["keep", "stop"])
def test_kept_machine_is_off_before_its_original_starts(stage: Stage, choice: str) -> None:
    stage.instead_of_proof = fail(BootFailedError("no proof"))
    deploy_options = LANDING.model_copy(update={"on_boot_failure": OnBootFailure(choice)})
    with pytest.raises(BootFailedError, match="web01-new is shut off and kept"):
        migrate(request(stage, deploy_options=deploy_options))
    assert stage.diary.index("stop web01-new") < stage.diary.index("start web01 again")
    assert not domains.require_domain(stage.host, "web01-new").isActive()


@pytest.mark.parametrize("stops", [BlockedWork.MOVE, BlockedWork.TRANSFER])
def test_machine_that_a_move_would_harm_is_refused_before_anything(
    stage: Stage, stops: BlockedWork
) -> None:
    saved = SourceState(what="web01 is saved", remedy="start it", evidence="virsh", stops=stops)
    stage.source.states = (saved,)
    with pytest.raises(BadInputError, match="web01 is saved"):
        migrate(request(stage))
    assert stage.diary == []


def test_state_that_came_while_a_person_thought_is_refused_before_the_shutdown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = SourceState(what="web01 paused", remedy="r", evidence="e", stops=BlockedWork.MOVE)

    def think(_request: MigrateRequest) -> str:
        stage.source.states = (paused,)
        return "yes"

    monkeypatch.setattr("tasks.move.cutover.wait_for_go", think)
    with pytest.raises(BadInputError, match="web01 paused"):
        migrate(request(stage))
    assert "shut down web01" not in stage.diary


def test_what_cannot_land_is_refused_before_anything_begins(stage: Stage) -> None:
    deploy_options = DeployOptions(network_map=NetworkMap(default="nowhere"))
    with pytest.raises(BadInputError, match="nowhere"):
        migrate(request(stage, deploy_options=deploy_options))
    assert stage.diary == []


def test_what_cannot_land_any_more_is_refused_before_the_shutdown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libvirt is asked again after days of waiting: it may be another one by then."""

    def think(_request: MigrateRequest) -> str:
        monkeypatch.setattr(
            objections, "omissions", lambda *_: fail(BadInputError("libvirt refuses web01"))()
        )
        return "yes"

    monkeypatch.setattr("tasks.move.cutover.wait_for_go", think)
    with pytest.raises(BadInputError, match="libvirt refuses web01"):
        migrate(request(stage))
    assert "stream sda sdb" in " ".join(stage.diary)
    assert "shut down web01" not in stage.diary


def decide(monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> list[float]:
    waits: list[float] = []
    given = iter(answers)
    monkeypatch.setattr(
        approval,
        "pause_flow_run",
        lambda **_: Decision(answer=next(given), postpone_minutes=5, operator="Ada"),
    )
    monkeypatch.setattr("tasks.move.approval.time.sleep", waits.append)
    return waits


def test_person_postpones_and_approves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = decide(monkeypatch, Answer.POSTPONE, Answer.APPROVE)
    report = migrate(request(stage, go=Go.APPROVAL))
    assert waits == [300]
    assert report.go == "Ada approved"


def test_person_cancels(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(monkeypatch, Answer.CANCEL)
    with pytest.raises(CancelledError, match="Ada cancelled the move of web01"):
        migrate(request(stage, go=Go.APPROVAL))
    assert "shut down web01" not in stage.diary


def test_closed_window_shuts_nothing_down(stage: Stage) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    window = {"window_opens": past, "window_closes": past + timedelta(hours=1)}
    with pytest.raises(CancelledError, match="the window closed"):
        migrate(request(stage, go=Go.TIME, **window))
    assert "shut down web01" not in stage.diary


def test_window_without_a_beginning_is_refused(stage: Stage) -> None:
    with pytest.raises(OptionError, match="window_opens is missing"):
        request(stage, go=Go.TIME)
