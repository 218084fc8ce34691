# SPDX-License-Identifier: Apache-2.0
"""Steps of a deployment's run: claimed, undone unless it ends well, and written down."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect.logging import get_run_logger

from tasks.claims import give_up
from tasks.environment import Environment
from tasks.step import step
from tasks.transfer.volumes import hand_over, replica_volumes
from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import TradewindError
from tradewind.host import leftovers
from tradewind.host.domain import domains
from tradewind.model.ledger import RunKind, RunState, Transfer
from tradewind.model.report import DeployReport
from tradewind.model.requests import DeployRequest
from tradewind.model.run import LabelState, Purpose, Run
from tradewind.model.storage import ReplicaVolume


@step("begin-{request.title}")
def _begin(env: Environment, request: DeployRequest, transfer: Transfer) -> Run:
    """Claim the transfer: nothing writes to the replica while it is deployed."""
    kind = RunKind.REHEARSAL if request.rehearse else RunKind.DEPLOYMENT
    with env.ledger() as ledger:
        return ledger.begin(transfer, kind)


@step("ask-whether-{run.id}-is-completed")
def _is_completed(env: Environment, run: Run) -> bool:
    """Ask the ledger, which alone knows: an answer may be lost on its way back from there."""
    with env.ledger() as ledger:
        return ledger.is_completed(run.id)


@step("undo-deployment-{run.id}")
def _remove(env: Environment, run: Run) -> None:
    """Remove the machine, the clones and whatever else the run made on the host."""
    with env.connect() as connection:
        leftovers.remove_all_of(connection, run.id)


def _undo(env: Environment, run: Run) -> None:
    """Remove what the run made, unless the ledger has completed it, or does not say."""
    if not _is_completed(env, run):
        _remove(env, run)


@contextmanager
def deployment(env: Environment, request: DeployRequest, transfer: Transfer) -> Iterator[Run]:
    """Lend a run that is undone unless it ends well; `record_deployment` is what ends it."""
    run = _begin(env, request, transfer)
    # A host that is out of reach must not keep the transfer claimed: each is tried for itself.
    undo = (lambda: _undo(env, run), lambda: give_up(env, run, "deployment"))
    with cleanup_on_exit(*undo, what=f"what deployment {run.id} made", only_on_error=True):
        yield run


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
