# SPDX-License-Identifier: Apache-2.0
"""The step that keeps missed runs of a schedule from piling up.

While no worker is there, Prefect (3.8.8) makes the runs of a schedule all the same and marks them
late; a worker that comes back starts every one of them, one after another. They would all do the
same, so the first one that starts stands in for the others and cancels them.
"""

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.logging import get_run_logger
from prefect.runtime import flow_run as own_run

from tasks.step import step


@step("look-for-missed-runs")
def skip_missed_runs() -> None:
    """Cancel the runs of the same schedule that are due as well: this one does their work."""
    with get_client(sync_client=True) as client:
        _stand_in(client)


def _stand_in(client: SyncPrefectClient) -> None:
    own = client.read_flow_run(UUID(own_run.get_id()))
    missed = _missed(client, own) if own.auto_scheduled and own.deployment_id else []
    for run in missed:
        said = f"Missed; the run “{own.name}” stands in for it."
        client.set_flow_run_state(
            run.id, State(type=StateType.CANCELLED, name="Missed", message=said)
        )
    if missed:
        get_run_logger().warning("Standing in for %d earlier runs that were missed.", len(missed))


def _missed(client: SyncPrefectClient, own: FlowRun) -> list[FlowRun]:
    """List what the scheduler made, is due by now, has not begun, and is asked the same."""
    assert own.deployment_id  # noqa: S101 - the caller looked
    due = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[own.deployment_id])),
    )
    return [run for run in due if run.auto_scheduled and run.parameters == own.parameters]
