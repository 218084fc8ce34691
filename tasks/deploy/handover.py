# SPDX-License-Identifier: Apache-2.0
"""Steps that end a deployment well: written down, and the machine its owner's."""

from collections.abc import Sequence

from prefect.logging import get_run_logger

from tasks.environment import Environment
from tasks.step import step
from tasks.transfer.volumes import hand_over, replica_volumes
from tradewind.errors import TradewindError
from tradewind.host.domain import domains
from tradewind.model.ledger import RunState
from tradewind.model.report import DeployReport
from tradewind.model.requests import DeployRequest
from tradewind.model.run import LabelState, Purpose, Run
from tradewind.model.storage import ReplicaVolume


@step("finish-{name}")
def _finish_machine(env: Environment, run: Run, name: str, *, autostart: bool) -> None:
    """Mark the machine as finished: it belongs to its owner, not to this run."""
    with env.connect() as connection:
        domains.start_with_host(connection, name, wanted=autostart)
        finished = run.label(Purpose.MACHINE, LabelState.FINISHED)
        domains.write_label(connection, name, finished)


@step("record-{request.title}")
def _record(env: Environment, request: DeployRequest, run: Run, report: DeployReport) -> None:
    """Write down that it ended well, and whose the replica's volumes are: all at once.

    For a move this is the point of no return.
    """
    with env.ledger() as ledger:
        ledger.finish(run, RunState.COMPLETED, report, gives_away=not request.clone_disks)


def record_deployment(
    env: Environment, request: DeployRequest, run: Run, report: DeployReport
) -> None:
    """End the run; what was rehearsed with is gone already."""
    given = () if request.clone_disks else replica_volumes(env, run.transfer)
    _record(env, request, run, report)
    if not request.rehearse:
        finish_machine(env, run, report.domain, given, autostart=report.autostart)


def finish_machine(
    env: Environment,
    run: Run,
    name: str,
    given: Sequence[ReplicaVolume],
    *,
    autostart: bool,
) -> None:
    """Mark the machine as its owner's, and the volumes that were given to it as its own.

    Where that fails, the next sweep marks the machine; its volumes are in use, and so are safe.
    """
    try:
        _finish_machine(env, run, name, autostart=autostart)
        hand_over(env, run, given)
    except TradewindError as error:
        get_run_logger().warning("%s is not marked as finished yet; sweep does it: %s", name, error)
