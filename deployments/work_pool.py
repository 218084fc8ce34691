# SPDX-License-Identifier: Apache-2.0
"""The work pool on Prefect's server, and the runs of it that have a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound

from deployments.server import told_apart
from deployments.workers import pool_name
from tradewind.errors import NotFoundError
from tradewind.model.record import Record

# A run that waits for a person is paused, and its process waits with it.
_AT_WORK: Final = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED]
# Seconds from a worker's taking a run to its process. A worker asks for runs that are due within
# 10 s, and its sign of life is missed after 90 s (PREFECT_WORKER_HEARTBEAT_SECONDS × 3).
_PENDING: Final = 600
_PENDING_ALONE: Final = 90
_WITHOUT_PROCESS: Final = {"Suspended", "AwaitingConcurrencySlot"}


class TakenRun(Record):
    """A run that a worker has taken."""

    name: str
    state: str
    since: str

    def sentence(self) -> str:
        """Write it for a person."""
        waits = " (it waits for a person: `tradewind answer`)" if self.state == "Paused" else ""
        return f"{self.name}: {self.state} since {self.since}{waits}"


class AbandonedRun(Record):
    """A run whose worker ended before it had begun: nothing works on it, and nothing will."""

    id: str
    name: str

    def sentence(self) -> str:
        """Write it for a person."""
        return (
            f"{self.name}: taken by a worker that ended before it began; not waited for."
            f" Begin it anew, and remove it: prefect flow-run delete {self.id}"
        )


class WorkPool:
    """The pool that the deployments of prefect.yaml name."""

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self.client = client
        self._name = name

    def pause(self) -> None:
        """Let no worker take a new run."""
        self._set_paused(is_paused=True)

    def resume(self) -> None:
        """Let workers take runs again."""
        self._set_paused(is_paused=False)

    def working(self) -> list[TakenRun]:
        """List the runs that a worker has taken and that have not ended, by name."""
        found = self._taken()
        working = [_working(run) for run in found if not self._is_abandoned(run)]
        return sorted(working, key=lambda each: each.name)

    def abandoned(self) -> list[AbandonedRun]:
        """List the runs whose worker ended before they had a process, by name."""
        found = [run for run in self._taken() if self._is_abandoned(run)]
        return sorted(
            (AbandonedRun(id=str(run.id), name=run.name) for run in found),
            key=lambda each: each.name,
        )

    def _taken(self) -> list[FlowRun]:
        found = self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_AT_WORK))
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._name])),
        )
        return [run for run in found if run.state_name not in _WITHOUT_PROCESS]

    def _is_abandoned(self, run: FlowRun) -> bool:
        """Whether a run is pending for longer than its worker can live without a sign of life.

        Prefect (3.8) keeps such a run pending for ever: nobody else takes it.
        """
        state = run.state
        if state is None or state.type is not StateType.PENDING or run.infrastructure_pid:
            return False
        age = (datetime.now(UTC) - state.timestamp).total_seconds()
        return age > (_PENDING if self.has_workers() else _PENDING_ALONE)

    def has_workers(self) -> bool:
        """Whether a worker gave a sign of life lately; ObjectNotFound without the pool."""
        self.client.read_work_pool(self._name)  # of workers the client says a plain 404
        there = self.client.read_workers_for_work_pool(self._name)
        return any(worker.status is WorkerStatus.ONLINE for worker in there)

    def _set_paused(self, *, is_paused: bool) -> None:
        try:
            self.client.update_work_pool(self._name, WorkPoolUpdate(is_paused=is_paused))
        except ObjectNotFound:
            raise NotFoundError(
                f"Prefect has no work pool “{self._name}”", "make it: tradewind setup"
            ) from None


@contextmanager
def pool() -> Iterator[WorkPool]:
    """Lend the work pool on the server that PREFECT_API_URL names."""
    with told_apart(), get_client(sync_client=True) as client:
        yield WorkPool(client, pool_name())


def _working(run: FlowRun) -> TakenRun:
    began = run.start_time or run.expected_start_time
    since = began.astimezone().strftime("%Y-%m-%d %H:%M:%S") if began else "now"
    return TakenRun(name=run.name, state=run.state_name or "", since=since)
