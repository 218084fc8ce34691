# SPDX-License-Identifier: Apache-2.0
"""`tradewind setup` and `drain` on a server: what is made, what is left, who is waited for."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from cli.commands import drain
from deployments import automations, installing, server, work_pool, workers
from deployments.installing import InstallAction, Installed
from deployments.project import planned
from deployments.work_pool import TakenRun, WorkPool
from tests.fakes.prefect_server import Server
from tradewind.errors import BadInputError, LateError, NotFoundError
from tradewind.waiting import wait_for

DEPLOYMENTS = tuple(plan.full_name() for plan in planned())
AUTOMATIONS = ("tradewind-zombie", "tradewind-sweep-after-crash")


@pytest.fixture(scope="module")
def client(prefect_server: Server) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def install(client: SyncPrefectClient, *, reset: bool = False) -> dict[str, Installed]:
    done = (
        *installing.work_pools(client),
        *installing.deployments(client, reset=reset),
        *automations.install(client, reset=reset),
    )
    return {each.name: each for each in done}


@pytest.fixture(scope="module")
def installed(client: SyncPrefectClient) -> Iterator[dict[str, Installed]]:
    """Everything but the block types, which other tests of this server have made."""
    yield install(client)
    for automation in AUTOMATIONS:
        for found in client.read_automations_by_name(automation):
            client.delete_automation(found.id)
    for name in DEPLOYMENTS:
        client.delete_deployment(client.read_deployment_by_name(name).id)
    client.delete_work_pool("tradewind")


def test_everything_is_made_once(
    client: SyncPrefectClient, installed: dict[str, Installed]
) -> None:
    assert set(installed) == {"tradewind", *DEPLOYMENTS, *AUTOMATIONS}
    assert {each.what for each in installed.values()} == {InstallAction.MADE}
    again = install(client)
    assert {each.what for each in again.values()} == {InstallAction.LEFT}
    assert {each.notes for each in again.values()} == {()}


def test_deployments_are_as_the_project_says(
    client: SyncPrefectClient, installed: dict[str, Installed]
) -> None:
    for plan in planned():
        made = client.read_deployment_by_name(plan.full_name())
        assert (made.entrypoint, made.description) == (plan.entrypoint, plan.description)
        assert set(made.tags) == set(plan.tags)
        assert (made.work_pool_name, made.job_variables) == ("tradewind", {"stream_output": False})
        assert made.enforce_parameter_schema
        assert made.parameter_openapi_schema == plan.schema()
        assert made.pull_steps == plan.pull
        assert made.parameters == plan.parameters
        assert made.global_concurrency_limit is not None
        assert made.global_concurrency_limit.limit == plan.limit
        assert made.concurrency_options is not None
        assert made.concurrency_options.collision_strategy.value == plan.collision_strategy
        assert [each.slug for each in made.schedules] == [each.slug for each in plan.schedules]
    sweep = client.read_deployment_by_name("sweep/sweep")
    assert [each.active for each in sweep.schedules] == [True]


def test_what_an_operator_changed_is_left_and_named_until_a_reset(
    client: SyncPrefectClient, installed: dict[str, Installed]
) -> None:
    sweep = client.read_deployment_by_name("sweep/sweep")
    every_night = CronSchedule(cron="0 3 * * *", timezone="Europe/Berlin")
    client.update_deployment_schedule(sweep.id, sweep.schedules[0].id, False, every_night)
    transfer = client.read_deployment_by_name("transfer/transfer")
    client.update_deployment(
        transfer.id, DeploymentUpdate(concurrency_limit=9, job_variables={"env": {"A": "b"}})
    )
    often = IntervalSchedule(interval=timedelta(hours=4))
    client.create_deployment_schedules(
        transfer.id, [DeploymentScheduleCreate(schedule=often, active=True)]
    )
    client.pause_deployment(transfer.id)
    (zombie,) = client.read_automations_by_name("tradewind-zombie")
    client.pause_automation(zombie.id)

    again = install(client)
    assert again["sweep/sweep"].what is InstallAction.LEFT
    assert again["sweep/sweep"].notes == ("it has schedules of its own",)
    assert again["transfer/transfer"].notes == (
        "job_variables",
        "its concurrency limit is 9 ENQUEUE",
        "it is paused",
        "it has schedules of its own",
    )
    assert again["tradewind-zombie"].what is InstallAction.LEFT
    assert again["tradewind-zombie"].notes == ("it is switched off",)
    (kept,) = client.read_deployment_by_name("sweep/sweep").schedules
    assert (kept.active, kept.schedule) == (False, every_night)
    transfer = client.read_deployment_by_name("transfer/transfer")
    assert transfer.paused
    assert [each.schedule for each in transfer.schedules] == [often]
    # Ours beside the operator's: without stream_output, a worker's end would end its flows.
    assert transfer.job_variables == {"env": {"A": "b"}, "stream_output": False}

    install(client, reset=True)
    assert {each.notes for each in install(client).values()} == {()}


def test_what_the_code_says_otherwise_is_brought_up_to_date(
    client: SyncPrefectClient, installed: dict[str, Installed]
) -> None:
    deploy = client.read_deployment_by_name("deploy/deploy")
    old = DeploymentUpdate(description="As it was.", entrypoint="flows/old.py:deploy", tags=["x"])
    client.update_deployment(deploy.id, old)
    sweep = client.read_deployment_by_name("sweep/sweep")
    client.update_deployment(sweep.id, DeploymentUpdate(description="As it was."))
    assert install(client)["deploy/deploy"] == Installed(
        kind="deployment",
        name="deploy/deploy",
        what=InstallAction.CHANGED,
        notes=("entrypoint", "description", "tags"),
    )
    assert client.read_deployment_by_name("deploy/deploy").entrypoint == "flows/deploy.py:deploy"
    assert [each.slug for each in client.read_deployment(sweep.id).schedules] == ["hourly"]


def test_an_automation_follows_the_deployment_that_it_runs(
    client: SyncPrefectClient, installed: dict[str, Installed]
) -> None:
    client.delete_deployment(client.read_deployment_by_name("sweep/sweep").id)
    assert install(client)["tradewind-sweep-after-crash"].what is InstallAction.CHANGED
    (after_crash,) = client.read_automations_by_name("tradewind-sweep-after-crash")
    sweep = client.read_deployment_by_name("sweep/sweep")
    (action,) = after_crash.actions
    assert action.model_dump()["deployment_id"] == sweep.id


def test_pool_of_another_type_is_refused(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, installed: dict[str, Installed]
) -> None:
    monkeypatch.setattr(installing, "POOL_TYPE", "docker")
    with pytest.raises(BadInputError, match="“tradewind” is of type process"):
        list(installing.work_pools(client))


def test_block_types_are_known_already(client: SyncPrefectClient) -> None:
    list(installing.block_types(client))
    assert {each.what for each in installing.block_types(client)} == {InstallAction.LEFT}


def test_settings_that_should_be_others_are_named(client: SyncPrefectClient) -> None:
    """The session's server has its leases in memory and keeps all runs."""
    said = " ".join(each.what for each in server.look_at(client))
    assert "keeps leases in memory" in said
    assert "never removes old runs" in said
    assert "gives up after a minute" in said


class Impatient:
    """Ends a wait after so many looks."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []

    def __call__(self, working: Sequence[TakenRun]) -> None:
        self.said.append([each.sentence().partition(" since")[0] for each in working])


Begin = Callable[[str, State[None]], None]


@pytest.fixture
def begin(client: SyncPrefectClient) -> Iterator[Begin]:
    """Put runs into a state; they are gone after the test."""
    made: list[UUID] = []

    def run_of(name: str, state: State[None]) -> None:
        deployment = client.read_deployment_by_name("transfer/transfer")
        asked = {"request": {"machine": name, "source": "old", "destination": "new"}}
        run = client.create_flow_run_from_deployment(deployment.id, parameters=asked, name=name)
        made.append(run.id)
        client.set_flow_run_state(run.id, state, force=True)

    yield run_of
    for run in made:
        client.delete_flow_run(run)


def test_drain_waits_for_what_has_a_process(
    client: SyncPrefectClient,
    installed: dict[str, Installed],
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "EVERY", 0.01)
    found, listener = WorkPool(client, "tradewind"), Impatient()
    found.pause()
    assert client.read_work_pool("tradewind").is_paused
    assert install(client)["tradewind"].notes == ("it is paused: `tradewind resume`",)
    drain.wait_until_idle(found, 0, listener)  # nothing runs
    begin("a", State(type=StateType.RUNNING))
    begin("b", State(type=StateType.PAUSED, name="Paused"))
    begin("c", State(type=StateType.PAUSED, name="Suspended"))
    begin("d", State(type=StateType.SCHEDULED, name="Late"))
    begin("e", State(type=StateType.COMPLETED))
    with pytest.raises(LateError, match="still at work: a, b\n"):
        drain.wait_until_idle(found, 0.05, listener)
    assert listener.said == [["a: Running", "b: Paused"]]
    found.resume()
    assert not client.read_work_pool("tradewind").is_paused


@pytest.mark.usefixtures("installed")
def test_drain_does_not_wait_for_a_run_whose_worker_was_killed_before_it_began(
    client: SyncPrefectClient, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "_PENDING_ALONE", 1.0)
    found, listener = WorkPool(client, "tradewind"), Impatient()
    begin("orphan", State(type=StateType.PENDING))
    with pytest.raises(LateError, match="still at work: orphan\n"):
        drain.wait_until_idle(found, 0, listener)  # a worker may be about to start it
    wait_for(lambda: not found.working(), "it counts as abandoned", 20)
    drain.wait_until_idle(found, 0, listener)
    (left,) = found.abandoned()
    assert left.name == "orphan"
    assert f"prefect flow-run delete {left.id}" in left.sentence()


@pytest.mark.usefixtures("installed")
def test_pending_run_is_waited_for_while_a_worker_lives(
    client: SyncPrefectClient, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "_PENDING_ALONE", 0.0)
    client.send_worker_heartbeat("tradewind", "alive")
    begin("beginning", State(type=StateType.PENDING))
    found = WorkPool(client, "tradewind")
    assert [each.name for each in found.working()] == ["beginning"]
    assert found.abandoned() == []


@pytest.mark.usefixtures("installed")
def test_worker_that_is_missing_is_told_with_the_line_that_starts_one(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(workers, "pool_name", lambda: "idle")
        client.create_work_pool(WorkPoolCreate(name="idle", type="process"))
        missing = workers.missing_worker()
    assert missing is not None
    assert missing.what.startswith("No worker runs")
    assert "prefect worker start --pool tradewind" in missing.remedy
    client.send_worker_heartbeat("tradewind", "alive")
    assert workers.missing_worker() is None


@pytest.mark.usefixtures("client")
def test_server_without_a_pool_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "pool_name", lambda: "nowhere")
    missing = workers.missing_worker()
    assert missing is not None
    assert missing.remedy == "make it: tradewind setup"


def test_drain_of_a_pool_that_is_not_there(client: SyncPrefectClient) -> None:
    with pytest.raises(NotFoundError, match="tradewind setup"):
        WorkPool(client, "nowhere").pause()
