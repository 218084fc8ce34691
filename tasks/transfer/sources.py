# SPDX-License-Identifier: Apache-2.0
"""Steps at the source."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.logging import get_run_logger

from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.model.machine import VirtualMachine
from tradewind.model.requests import TransferRequest
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint
from tradewind.ports import DataSource, Snapshot
from tradewind.sources.libvirt import state


@step("inspect-{machine}")
def inspect_machine(source: DataSource, machine: str) -> VirtualMachine:
    """Describe the machine and measure its disks."""
    return source.inspect(machine)


@step("require-readable-{machine.name}")
def require_readable(machine: VirtualMachine) -> None:
    """Refuse a machine in a state in which it cannot be read, before anything is made."""
    state.require(machine)


@step("require-movable-{machine.name}")
def require_movable(machine: VirtualMachine) -> None:
    """Refuse a machine of which a move would lose something, before anything is made."""
    state.require(machine, moving=True)


@step("freeze-{machine.name}")
def _freeze(
    lent: ExitStack,
    source: DataSource,
    machine: VirtualMachine,
    run: Run,
    since: Checkpoint | None,
    *,
    track: bool,
) -> Snapshot:
    """Take one point in time of all the machine's disks."""
    return lent.enter_context(source.snapshot(machine, run, since, track=track))


@contextmanager
def snapshot(
    source: DataSource,
    request: TransferRequest,
    machine: VirtualMachine,
    run: Run,
    since: Checkpoint | None,
) -> Iterator[Snapshot]:
    """Lend one point in time of the machine; the source is as before when it is given back.

    But for the new checkpoint, if all goes well: the next execution counts from it.
    """
    with ExitStack() as lent:
        yield _freeze(lent, source, machine, run, since, track=request.track_changes)


@step("retire-checkpoints-of-{machine.name}")
def _retire(source: DataSource, machine: VirtualMachine, run: Run, keep: Checkpoint | None) -> None:
    """Remove the checkpoints that nothing is counted from any more."""
    source.retire_checkpoints(machine, run.transfer, keep)


def retire_checkpoints(
    source: DataSource, machine: VirtualMachine, run: Run, keep: Checkpoint | None
) -> None:
    """Remove old checkpoints; where that fails the replica is right, and the next run does it."""
    try:
        _retire(source, machine, run, keep)
    except TradewindError as error:
        get_run_logger().warning("old checkpoints of %s stay for now: %s", machine.name, error)
