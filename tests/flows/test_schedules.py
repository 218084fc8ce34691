# SPDX-License-Identifier: Apache-2.0
"""Schedules as Prefect's server keeps them, and the runs of a schedule that were missed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, FlowRun
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_engine import run_flow_sync

from deployments.project import PROJECT
from deployments.registration import Registration
from deployments.stored_transfers import StoredTransfers
from flows.replicate import replicate
from flows.transfer import transfer
from tasks.operate.missed_runs import skip_missed_runs
from tradewind.errors import NotFoundError
from tradewind.model.groups import GroupRequest
from tradewind.model.requests import TransferRequest

REQUEST = TransferRequest(machine="web", source="old", destination="new", lag_warning=60)
HOURLY = IntervalSchedule(interval=timedelta(hours=1))


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def pool(client: SyncPrefectClient) -> Iterator[None]:
    client.create_work_pool(WorkPoolCreate(name="tradewind", type="process"))
    yield
    client.delete_work_pool("tradewind")


@pytest.fixture
def schedules(pool: None) -> Iterator[StoredTransfers]:
    stored = StoredTransfers()
    yield stored
    for each in stored.all():
        stored.delete(each)


def test_schedule_is_deployed_as_the_project_says(
    client: SyncPrefectClient, schedules: StoredTransfers
) -> None:
    name = Registration().add(transfer, "a/web-from-old-to-new", REQUEST, HOURLY)
    assert name == "a-web-from-old-to-new"
    made = client.read_deployment_by_name(f"transfer/{name}")
    assert made.entrypoint == "flows/transfer.py:transfer"
    assert made.work_pool_name == "tradewind"
    assert made.job_variables == {"stream_output": False}
    assert made.pull_steps is not None
    assert "TRADEWIND_HOME" in str(made.pull_steps[0])
    assert "TRADEWIND_HOME" in PROJECT.read_text()
    assert made.enforce_parameter_schema
    assert TransferRequest.model_validate(made.parameters["request"]) == REQUEST
    assert made.global_concurrency_limit is not None
    assert made.global_concurrency_limit.limit == 1
    assert made.concurrency_options is not None
    assert made.concurrency_options.collision_strategy is ConcurrencyLimitStrategy.CANCEL_NEW


def test_schedule_that_is_added_again_is_changed(schedules: StoredTransfers) -> None:
    Registration().add(transfer, "web", REQUEST, HOURLY)
    schedules.pause("web")
    nightly = CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    Registration().add(transfer, "web", REQUEST.model_copy(update={"lag_warning": 5}), nightly)
    (only,) = schedules.all()
    assert (only.when, only.paused) == ("0 2 * * * (Europe/Berlin)", False)
    assert only.request["lag_warning"] == 5


def test_schedule_is_paused_resumed_and_removed(schedules: StoredTransfers) -> None:
    group = GroupRequest.model_validate(
        {"machines": {"tags": ["nightly"]}, "source": "old", "destination": "new"}
    )
    Registration().add(transfer, "web", REQUEST, HOURLY)
    Registration().add(replicate, "nightly", group, HOURLY)
    schedules.pause("web")
    assert [(each.name, each.paused) for each in schedules.all()] == [
        ("nightly", False),
        ("web", True),
    ]
    schedules.resume("web")
    schedules.remove_schedule("nightly")
    assert [(each.name, each.paused) for each in schedules.all()] == [("web", False)]


def test_transfer_that_lost_its_schedule_stays_stored(schedules: StoredTransfers) -> None:
    Registration().add(transfer, "web", REQUEST, HOURLY)
    schedules.pause("web")
    schedules.remove_schedule("web")
    assert schedules.schedules() == []
    stored = schedules.transfer("web")
    assert (stored.when, stored.paused, stored.next_run) == ("", False, None)
    assert stored.transfer == REQUEST
    with pytest.raises(NotFoundError, match="no schedule is called “web”"):
        schedules.pause("web")
    # Stored anew with a schedule, and again without one.
    Registration().add(transfer, "web", REQUEST, HOURLY)
    assert [each.name for each in schedules.schedules()] == ["web"]
    Registration().add(transfer, "web", REQUEST)
    assert schedules.schedules() == []
    schedules.delete(stored)
    with pytest.raises(NotFoundError, match="no transfer is called “web”"):
        schedules.transfer("web")


def test_next_run_is_told(client: SyncPrefectClient, schedules: StoredTransfers) -> None:
    Registration().add(transfer, "web", REQUEST, HOURLY)
    (only,) = schedules.all()
    plan(client, only.id, datetime.now(UTC), datetime.now(UTC) + timedelta(hours=3))
    (only,) = schedules.all()
    assert only.next_run is not None
    assert timedelta() < only.next_run - datetime.now(UTC) <= timedelta(hours=1)


def test_unknown_schedule_is_named_with_those_there_are(schedules: StoredTransfers) -> None:
    Registration().add(transfer, "web", REQUEST, HOURLY)
    with pytest.raises(NotFoundError, match=r"“db”\n.*there are: web"):
        schedules.pause("db")


@pytest.mark.usefixtures("client")
def test_schedule_without_a_work_pool_is_refused() -> None:
    with pytest.raises(NotFoundError, match="tradewind setup"):
        Registration().add(transfer, "web", REQUEST, HOURLY)


@flow
def replay(machine: str) -> None:
    skip_missed_runs()


def plan(client: SyncPrefectClient, deployment: UUID, begin: datetime, end: datetime) -> None:
    """Make the runs of a schedule, as the scheduler does; the session's server has none."""
    span = {"start_time": begin.isoformat(), "end_time": end.isoformat(), "min_runs": 1}
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=span)


def runs_of(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def test_run_that_starts_stands_in_for_those_that_were_missed(client: SyncPrefectClient) -> None:
    def every_ten(machine: str) -> DeploymentScheduleCreate:
        often = IntervalSchedule(interval=timedelta(seconds=10))
        parameters: dict[str, Any] = {"machine": machine}
        return DeploymentScheduleCreate(schedule=often, active=True, parameters=parameters)

    deployment = client.create_deployment(
        flow_id=client.create_flow(replay),
        name="replay",
        schedules=[every_ten("web"), every_ten("db")],
    )
    now = datetime.now(UTC)
    plan(client, deployment, now - timedelta(seconds=35), now + timedelta(seconds=35))
    first = next(run for run in runs_of(client, deployment) if run.parameters == {"machine": "web"})
    run_flow_sync(replay, flow_run=first, parameters=first.parameters)
    after = runs_of(client, deployment)
    missed = [run for run in after if run.state_name == "Missed"]
    assert len(missed) in {2, 3}
    for run in missed:
        assert run.parameters == {"machine": "web"}
        assert run.expected_start_time is not None
        assert run.expected_start_time <= datetime.now(UTC)
        assert run.state is not None
        assert run.state.message == f"Missed; the run “{first.name}” stands in for it."
    others = [run for run in after if run.id != first.id and run not in missed]
    assert {run.state_name for run in others} == {"Scheduled"}
    assert {run.parameters["machine"] for run in others} == {"web", "db"}


def test_run_that_nobody_scheduled_stands_in_for_nothing(client: SyncPrefectClient) -> None:
    assert replay("web") is None
