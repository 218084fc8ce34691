# SPDX-License-Identifier: Apache-2.0
"""The work pool on Prefect's server, and the runs of it that have a process."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from cli.project import planned
from cli.server import told_apart
from tradewind.errors import NotFoundError
from tradewind.model.record import Record

# A run that waits for a person is paused, and its process waits with it.
_AT_WORK: Final = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED]
_WITHOUT_PROCESS: Final = {"Suspended", "AwaitingConcurrencySlot"}


class Working(Record):
    """A run that a worker has taken."""

    name: str
    state: str
    since: str

    def sentence(self) -> str:
        """Say it to a person."""
        waits = " (it waits for a person: `tradewind answer`)" if self.state == "Paused" else ""
        return f"{self.name}: {self.state} since {self.since}{waits}"


class Pool:
    """The pool that the deployments of prefect.yaml name."""

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self._client = client
        self._name = name

    def pause(self) -> None:
        """Let no worker take a new run."""
        self._set_paused(is_paused=True)

    def resume(self) -> None:
        """Let workers take runs again."""
        self._set_paused(is_paused=False)

    def working(self) -> list[Working]:
        """List the runs that a worker has taken and that have not ended, by name."""
        found = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_AT_WORK))
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._name])),
        )
        working = [_working(run) for run in found if run.state_name not in _WITHOUT_PROCESS]
        return sorted(working, key=lambda each: each.name)

    def _set_paused(self, *, is_paused: bool) -> None:
        try:
            self._client.update_work_pool(self._name, WorkPoolUpdate(is_paused=is_paused))
        except ObjectNotFound:
            raise NotFoundError(
                f"Prefect has no work pool “{self._name}”", "make it: tradewind setup"
            ) from None


@contextmanager
def pool() -> Iterator[Pool]:
    """Lend the work pool on the server that PREFECT_API_URL names."""
    (name,) = {each.pool for each in planned()}
    with told_apart(), get_client(sync_client=True) as client:
        yield Pool(client, name)


def _working(run: FlowRun) -> Working:
    began = run.start_time or run.expected_start_time
    since = began.astimezone().strftime("%Y-%m-%d %H:%M:%S") if began else "now"
    return Working(name=run.name, state=run.state_name or "", since=since)
