# SPDX-License-Identifier: Apache-2.0
"""Flow runs in processes of their own, a few at a time, each linked to the run that asks.

Why not `run_deployment`, subflows or `.submit`: docs/decisions/0009-a-process-for-each-machine.md.
"""

import inspect
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
from prefect import Flow, Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import get_run_logger
from prefect.runtime import flow_run as own_run
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed, Pending

from tradewind import ending
from tradewind.model.record import Record

EVERY: Final = 1.0
# A process that was asked to end gives back what it was lent, and is gone after thirty seconds
# (tradewind/ending.py); so is this one, which leaves the rest to them.
PATIENCE: Final = 40.0


@dataclass(frozen=True, slots=True)
class WantedFlowRun:
    """A flow run that is wanted: its parameters, and what it is about."""

    subject: str
    parameters: Mapping[str, Any]


class EndedRun(Record):
    """How a flow run ended, as a record: Prefect takes no FlowRun as the argument of a task."""

    id: str
    state: StateType
    message: str
    seconds: float


@dataclass(slots=True)
class _FlowProcess:
    run: UUID
    process: "subprocess.Popen[bytes]"
    stopping: bool = False

    def stop(self) -> None:
        """Ask the process to give back what it was lent, and to end; once, since it takes time."""
        if not self.stopping and self.process.poll() is None:
            self.process.terminate()
        self.stopping = True


class FlowProcesses:
    """Runs a flow once for each that is asked for; no run's end touches another."""

    def __init__(self, flow: Flow[..., Any], client: SyncPrefectClient) -> None:
        self._flow = flow
        self._client = client
        self._log = get_run_logger()
        self._living: list[_FlowProcess] = []

    def run(self, asked: Sequence[WantedFlowRun], limit: int) -> list[EndedRun]:
        """Run all of them, at most `limit` at a time; say in the same order how they ended."""
        waiting = deque(asked)
        begun: list[UUID] = []
        try:
            while waiting or self._living:
                with self._patient():
                    while waiting and len(self._living) < limit:
                        begun.append(self._start(waiting[0]))
                        waiting.popleft()
                    self._obey_cancellations()
                    self._settle_ended()
                time.sleep(EVERY)
        except BaseException as error:
            if ending.means_the_end(error):
                ending.begin()
            self._stop_all()
            raise
        return [self._ended(run) for run in begun]

    def _ended(self, run: UUID) -> EndedRun:
        found = self._client.read_flow_run(run)
        return EndedRun(
            id=str(run),
            state=found.state_type or StateType.CRASHED,
            message=(found.state and found.state.message) or "",
            seconds=found.total_run_time.total_seconds(),
        )

    @contextmanager
    def _patient(self) -> Iterator[None]:
        """Let a server that is away for a while be asked again: the runs go on without it."""
        try:
            yield
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            if _is_lasting(error):
                raise
            self._log.warning("Prefect's server does not answer, asking again: %s", error)

    def _start(self, asked: WantedFlowRun) -> UUID:
        run = self._client.create_flow_run(
            self._flow,
            parameters=dict(asked.parameters),
            parent_task_run_id=self._stand_in(asked.subject),
        )
        self._living.append(_FlowProcess(run.id, _launch(self._flow, run.id)))
        return run.id

    def _stand_in(self, subject: str) -> UUID:
        """Make the task run that stands for the other flow run in this one's graph."""
        stand_in = Task(fn=_nothing, name=f"{self._flow.name}-{subject}")
        made = self._client.create_task_run(
            stand_in, UUID(own_run.get_id()), dynamic_key=subject, state=Pending()
        )
        return made.id

    def _obey_cancellations(self) -> None:
        """Stop the runs that somebody cancelled: no worker looks after them."""
        if not self._living:
            return
        ids = FlowRunFilterId(any_=[child.run for child in self._living])
        runs = self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids))
        unwanted = {run.id for run in runs if _is_unwanted(run.state)}
        for child in self._living:
            if child.run in unwanted:
                child.stop()

    def _settle_ended(self) -> None:
        for child in [each for each in self._living if each.process.poll() is not None]:
            self._settle(child)
            self._living.remove(child)

    def _settle(self, child: _FlowProcess) -> None:
        """Say how a process ended when it could not do so itself."""
        state = self._client.read_flow_run(child.run).state
        said = _last_word(child, state)
        if said is not None:
            self._client.set_flow_run_state(child.run, said, force=True)

    def _stop_all(self) -> None:
        """End all of them at once, and wait until they have given back what they were lent."""
        for child in self._living:
            child.stop()
        deadline = time.monotonic() + PATIENCE
        while self._living and time.monotonic() < deadline:
            with self._patient():
                self._settle_ended()
            time.sleep(EVERY / 10)


def run_each(flow: Flow[..., Any], asked: Iterable[WantedFlowRun], limit: int) -> list[EndedRun]:
    """Run a flow once for each, in processes of their own; say how each ended, in order."""
    with get_client(sync_client=True) as client:
        return FlowProcesses(flow, client).run(list(asked), limit)


def _nothing() -> None:
    """Stand in for what happens in another process."""


def _launch(flow: Flow[..., Any], run: UUID) -> "subprocess.Popen[bytes]":
    """Start Prefect's engine for a flow run; whatever it needs to know it asks the server for."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    source = Path(inspect.getfile(flow.fn)).resolve()
    entrypoint = {"PREFECT__FLOW_ENTRYPOINT": f"{source}:{flow.fn.__name__}"}
    # It ends when we do, however we do; and it does not hear a terminal's ^C: we pass that on.
    tied = ["setpriv", "--pdeathsig", "TERM", "--"]
    argv = [*tied, sys.executable, "-m", "prefect.engine", str(run)]
    return subprocess.Popen(
        argv,
        env={**settings, **os.environ, **entrypoint},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _last_word(child: _FlowProcess, state: State[Any] | None) -> State[Any] | None:
    """Return what has to be said of a run whose process has ended; None: its own word stands."""
    if child.stopping and (state is None or not state.is_final() or state.is_crashed()):
        return Cancelled(message="It was stopped; its log says whether all was given back.")
    if state is None or not state.is_final():
        code = child.process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return Crashed(message=f"Its process {how}. `tradewind sweep` removes what it left.")
    return None


def _is_unwanted(state: State[Any] | None) -> bool:
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _is_lasting(error: httpx.TransportError | PrefectHTTPStatusError) -> bool:
    return (
        isinstance(error, PrefectHTTPStatusError)
        and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    )
