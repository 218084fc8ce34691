# SPDX-License-Identifier: Apache-2.0
"""However a run ends: one event with few facts, and a page of its machine that is true."""

import os
import signal
from collections.abc import Coroutine, Iterator
from typing import Any
from uuid import uuid4

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Cancelling, Crashed

import tasks.operate.events
from flows.deploy import deploy
from flows.migrate import migrate
from flows.transfer import transfer
from tasks.operate.announcements import announce
from tests.fakes.flow_stage import Stage
from tradewind.errors import NotFoundError, WriterError
from tradewind.host.domain import domains
from tradewind.model.deploy_options import DeployOptions
from tradewind.model.migrate import Go, MigrateRequest
from tradewind.model.network import NetworkMap
from tradewind.units import MiB


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Prefect was told to have happened."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        tasks.operate.events,
        "emit_event",
        lambda event, **more: seen.append({"event": event, **more}),
    )
    return seen


def fail() -> None:
    raise WriterError("the writer refused a range " + "x" * 2000)


def page(stage: Stage, machine: str = "web01") -> str:
    """Read the newest version of a machine's page."""
    found = Artifact.get(f"machine-{machine}-from-{stage.endpoint}-to-{stage.endpoint}")
    assert not isinstance(found, Coroutine)
    assert found is not None
    return str(found.data)


def test_transfer_that_ends_well(stage: Stage, events: list[dict[str, Any]]) -> None:
    transfer(stage.transfer())
    (told,) = events
    assert told["event"] == "tradewind.transfer.completed"
    assert told["resource"] == {
        "prefect.resource.id": f"tradewind.vm.{stage.endpoint}.web01",
        "prefect.resource.name": "web01",
        "tradewind.machine": "web01",
        "tradewind.source": stage.endpoint,
        "tradewind.destination": stage.endpoint,
    }
    facts = told["payload"]
    assert (facts["state"], facts["sent"], facts["full"]) == ("Completed", 2 * MiB, True)
    run = f"prefect.flow-run.{facts['flow_run']}"
    assert [each["prefect.resource.id"] for each in told["related"]] == [run]
    shown = page(stage)
    assert "last equalled its machine as of " in shown
    assert "Last execution: **completed**" in shown
    assert "| sdb | 2.0 MiB |" in shown


def test_transfer_that_fails(stage: Stage, events: list[dict[str, Any]]) -> None:
    stage.make_replica()
    stage.instead_of_stream = fail
    with pytest.raises(WriterError):
        transfer(stage.transfer())
    (told,) = events
    assert told["event"] == "tradewind.transfer.failed"
    assert told["payload"]["state"] == "Failed"
    assert "the writer refused a range" in told["payload"]["message"]
    assert len(told["payload"]["message"]) == tasks.operate.events.LONGEST
    assert "Last execution: **failed**" in page(stage)
    assert "**it was being written to since, and did not end well**" in page(stage)


def test_machine_that_is_not_there_has_no_page(stage: Stage, events: list[dict[str, Any]]) -> None:
    with pytest.raises(NotFoundError):
        transfer(stage.transfer(machine="nobody"))
    assert [told["event"] for told in events] == ["tradewind.transfer.failed"]
    key = f"machine-nobody-from-{stage.endpoint}-to-{stage.endpoint}"
    assert Artifact.get(key) is None


@pytest.fixture
def survived() -> Iterator[None]:
    """Prefect sends SIGTERM again when the flow has ended."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("survived")
def test_process_that_is_told_to_end(stage: Stage, events: list[dict[str, Any]]) -> None:
    stage.instead_of_stream = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(TerminationSignal):
        transfer(stage.transfer())
    (told,) = events
    assert (told["event"], told["payload"]["state"]) == ("tradewind.transfer.failed", "Crashed")


def test_deployment_and_rehearsal(stage: Stage, events: list[dict[str, Any]]) -> None:
    stage.make_replica()
    deploy(stage.deploy(name="web01-new"))
    deploy(stage.deploy(rehearse=True, network_map={}))
    stage.instead_of_proof = lambda: domains.require_domain(stage.host, "nobody") and None
    with pytest.raises(NotFoundError):
        deploy(stage.deploy(name="web01-again"))
    assert [told["event"] for told in events] == [
        "tradewind.deploy.completed",
        "tradewind.rehearse.completed",
        "tradewind.deploy.failed",
    ]
    assert events[0]["payload"]["domain"] == "web01-new"
    assert "Last deployment: **failed**" in page(stage)
    assert "Last rehearsal: **completed**" in page(stage)


def test_move_tells_of_its_parts_too(stage: Stage, events: list[dict[str, Any]]) -> None:
    deploy_options = DeployOptions(name="web01-new", network_map=NetworkMap(default="lan"))
    plain = {
        "transfer": stage.transfer(),
        "deploy_options": deploy_options,
        "go": Go.AT_ONCE,
        "rounds": 1,
    }
    migrate(MigrateRequest.model_validate(plain))
    names = [told["event"] for told in events]
    assert names == [
        "tradewind.transfer.completed",
        "tradewind.deploy.completed",
        "tradewind.migrate.completed",
    ]
    assert events[-1]["payload"]["outage_seconds"] > 0
    vm = f"tradewind.vm.{stage.endpoint}.web01"
    assert {told["resource"]["prefect.resource.id"] for told in events} == {vm}


def run_of(stage: Stage) -> FlowRun:
    """Make a run that has not begun, as a worker finds it."""
    with get_client(sync_client=True) as client:
        parameters = {"request": stage.transfer().model_dump(mode="json")}
        return client.create_flow_run(transfer, parameters=parameters)


def test_end_that_is_told_twice_is_one_event(stage: Stage, events: list[dict[str, Any]]) -> None:
    """In a worker nothing of the flow's memory is there; the server takes an id only once."""
    run = run_of(stage)
    for _ in range(2):
        announce(transfer, run, Crashed(message="its process is gone"))
    assert [told["event"] for told in events] == ["tradewind.transfer.failed"] * 2
    assert events[0]["id"] == events[1]["id"]
    announce(transfer, run.model_copy(update={"run_count": 1}), Crashed())
    assert events[2]["id"] != events[0]["id"]


def test_cancelled_run_is_not_called_crashed(stage: Stage, events: list[dict[str, Any]]) -> None:
    """The process that a cancellation ends calls itself crashed."""
    run = run_of(stage)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Cancelling(), force=True)
    announce(transfer, run, Crashed())
    announce(transfer, run, Cancelled())
    assert [told["event"] for told in events] == ["tradewind.transfer.cancelled"] * 2
    assert events[0]["id"] == events[1]["id"]


def test_run_without_a_request_says_nothing(stage: Stage, events: list[dict[str, Any]]) -> None:
    run = FlowRun(flow_id=uuid4(), parameters={"request": {"machine": "web01"}})
    announce(transfer, run, Crashed())
    assert events == []
