# SPDX-License-Identifier: Apache-2.0
"""Steps of a deployment's run: claimed, and undone unless it ends well."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.claims import give_up
from tasks.environment import Environment
from tasks.step import step
from tradewind.cleanup import cleanup_on_exit
from tradewind.host import leftovers
from tradewind.model.ledger import RunKind, Transfer
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Run


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
