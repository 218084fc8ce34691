# SPDX-License-Identifier: Apache-2.0
"""Stored transfers and groups as Prefect keeps them: a deployment for each, as in prefect.yaml."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    StateType,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from deployments.project import planned_for
from deployments.stored import Stored
from tradewind.errors import NotFoundError
from tradewind.model.record import Record
from tradewind.nearest import listed
from tradewind.units import whole_duration

# What tells the deployments that were made by command from those of prefect.yaml.
TAG: Final = "tradewind-stored"
# What Prefect does not take in a name.
_BANNED: Final = str.maketrans(dict.fromkeys("/%&><", "-"))
_PAGE: Final = 200  # Prefect gives away no more at a time

Schedule = CronSchedule | IntervalSchedule
T = TypeVar("T")


class Registration:
    """Stores transfers and groups on Prefect's server, with or without a schedule."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def add(
        self, flow: Flow[..., Any], name: str, request: Record, schedule: Schedule | None = None
    ) -> str:
        """Store a flow's request under a name, or anew; a run that comes due in another is refused.

        NotFoundError: there is no such work pool.
        """
        like = planned_for(flow.name)
        # Prefect takes any name, and the runs of such a deployment would wait for ever.
        self._require_pool(like.pool)
        name = name.translate(_BANNED)
        when = [DeploymentScheduleCreate(schedule=schedule, active=True)] if schedule else []
        self._client.create_deployment(
            flow_id=self._client.create_flow(flow),
            name=name,
            entrypoint=like.entrypoint,
            description=like.description,
            tags=[*like.tags, TAG],
            pull_steps=like.pull,
            work_pool_name=like.pool,
            job_variables=like.job_variables,
            # Of a deployment, Prefect does not take null for a field that is left empty.
            parameters={"request": request.model_dump(mode="json", exclude_none=True)},
            parameter_openapi_schema=like.schema(),
            enforce_parameter_schema=True,
            schedules=when,
            concurrency_limit=1,
            concurrency_options=ConcurrencyOptions(
                collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
            paused=False,
        )
        return name

    def all(self) -> list[Stored]:
        """List what is stored, by name."""
        found = self._deployments()
        coming = self._next_runs()
        return [_stored(each, coming.get(each.id)) for each in found]

    def schedules(self) -> list[Stored]:
        """List what comes due by itself, by name."""
        return [each for each in self.all() if each.when]

    def transfer(self, name: str) -> Stored:
        """Find a stored transfer of one machine."""
        return _named(name, [each for each in self.all() if each.is_transfer], "transfer")

    def remove_schedule(self, name: str) -> None:
        """Remove a schedule and the runs that are planned for it; replicas stay.

        A transfer of one machine stays stored; a group is nothing without its schedule.
        """
        found = self._scheduled(name)
        if not found.is_transfer:
            self.delete(found)
            return
        for each in self._client.read_deployment_schedules(found.id):
            self._client.delete_deployment_schedule(found.id, each.id)
        self._client.resume_deployment(found.id)

    def delete(self, stored: Stored) -> None:
        """Forget what is stored, and the runs that are planned for it."""
        self._client.delete_deployment(stored.id)

    def pause(self, name: str) -> None:
        """Plan no runs until it is resumed."""
        self._client.pause_deployment(self._scheduled(name).id)

    def resume(self, name: str) -> None:
        """Plan runs again."""
        self._client.resume_deployment(self._scheduled(name).id)

    def _scheduled(self, name: str) -> Stored:
        return _named(name, self.schedules(), "schedule")

    def _deployments(self) -> list[DeploymentResponse]:
        ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
        found = _pages(
            lambda offset: self._client.read_deployments(
                deployment_filter=ours, limit=_PAGE, offset=offset
            )
        )
        return sorted(found, key=lambda deployment: deployment.name)

    def _next_runs(self) -> dict[UUID, datetime]:
        planned = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        )
        runs = _pages(
            lambda offset: self._client.read_flow_runs(
                flow_run_filter=planned,
                deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
                sort=FlowRunSort.EXPECTED_START_TIME_ASC,
                limit=_PAGE,
                offset=offset,
            )
        )
        coming: dict[UUID, datetime] = {}
        for run in runs:
            if run.deployment_id and run.expected_start_time:
                coming.setdefault(run.deployment_id, run.expected_start_time)
        return coming

    def _require_pool(self, name: str) -> None:
        try:
            self._client.read_work_pool(name)
        except ObjectNotFound:
            raise NotFoundError(
                f"Prefect has no work pool “{name}”, which prefect.yaml names",
                "make it: tradewind setup",
            ) from None


@contextmanager
def registration() -> Iterator[Registration]:
    """Lend what is stored on the server that PREFECT_API_URL names."""
    with get_client(sync_client=True) as client:
        yield Registration(client)


def _pages(read: Callable[[int], Sequence[T]]) -> list[T]:
    found: list[T] = []
    while page := read(len(found)):
        found.extend(page)
        if len(page) < _PAGE:
            break
    return found


def _named(name: str, among: Sequence[Stored], kind: str) -> Stored:
    for each in among:
        if each.name == name:
            return each
    there = listed((each.name for each in among), name)
    raise NotFoundError(f"no {kind} is called “{name}”", f"there are: {there}")


def _stored(deployment: DeploymentResponse, coming: datetime | None) -> Stored:
    return Stored(
        id=deployment.id,
        name=deployment.name,
        flow=(deployment.entrypoint or "").rpartition(":")[2],
        when=", ".join(_words(each.schedule) for each in deployment.schedules),
        paused=deployment.paused,
        request=deployment.parameters.get("request", {}),
        next_run=None if deployment.paused else coming,
    )


def _words(schedule: Any) -> str:
    if isinstance(schedule, CronSchedule):
        return f"{schedule.cron} ({schedule.timezone or 'UTC'})"
    if isinstance(schedule, IntervalSchedule):
        return f"every {whole_duration(schedule.interval.total_seconds())}"
    return str(schedule)
