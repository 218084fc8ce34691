# SPDX-License-Identifier: Apache-2.0
"""Steps that keep the ledger while a transfer runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from tasks.claims import give_up
from tasks.environment import WORKER_OS, Environment
from tasks.step import step
from tradewind.cleanup import cleanup_on_exit
from tradewind.host import leftovers
from tradewind.host.storage import witness
from tradewind.memory import peak_memory
from tradewind.model.host import Worker
from tradewind.model.ledger import RunKind
from tradewind.model.machine import VirtualMachine
from tradewind.model.report import Streamed, TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint, ReplicaVolume, VolumePlan, WitnessState
from tradewind.ports import DataSource
from tradewind.sources.libvirt import state
from tradewind.worker import lifecycle


@step("begin-execution-{machine.name}")
def _begin(env: Environment, request: TransferRequest, machine: VirtualMachine) -> Run:
    """Claim the transfer: two executions of one transfer never run at once."""
    with env.ledger() as ledger:
        transfer = ledger.note_transfer(request.source, request.destination, machine)
        return ledger.begin(transfer, RunKind.EXECUTION)


@step("clean-up-before-{run.id}")
def _clean_up(env: Environment, source: DataSource, run: Run) -> None:
    """Remove what earlier runs of this transfer left: a worker of theirs would hold the volumes."""
    with env.ledger() as ledger:
        dead = ledger.ended_badly(run.transfer)
    with env.connect() as connection:
        leftovers.remove_runs(connection, dead)
    source.clean_up(dead)


@contextmanager
def execution(
    env: Environment, source: DataSource, request: TransferRequest, machine: VirtualMachine
) -> Iterator[Run]:
    """Lend the right to work on the transfer; `record_replica` is what ends it well."""
    run = _begin(env, request, machine)
    undo = (lambda: give_up(env, run, "execution"),)
    with cleanup_on_exit(*undo, what=f"execution {run.id}", only_on_error=True):
        _clean_up(env, source, run)
        yield run


@step("mark-written-{machine.name}")
def mark_written(
    env: Environment, run: Run, machine: VirtualMachine, volumes: Sequence[ReplicaVolume]
) -> None:
    """Write down, before the first byte is sent, that the replica is neither blank nor in sync.

    In the ledger and beside the volumes; nothing else uses these at this moment.
    """
    places = {disk.id: disk.location for disk in machine.disks}
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        written = [
            volume.model_copy(
                update={"blank": False, "exact": False, "location": places[volume.disk_id]}
            )
            for volume in witness.opened(connection, run, volumes)
        ]
        ledger.plan_volumes(run.transfer, written)
        ledger.mark_changed(run.transfer)
        spare = lifecycle.spare_pool(connection, env.options.worker_image(WORKER_OS))
        witness.write_all(connection, run, written, WitnessState.WRITING, spare)


@step("last-checkpoint-{machine.name}")
def last_checkpoint(
    env: Environment, run: Run, machine: VirtualMachine, volumes: Sequence[ReplicaVolume]
) -> Checkpoint | None:
    """Find what the source can compare with, for the disks whose volumes go back to it."""
    with env.ledger() as ledger:
        found = ledger.checkpoint(run.transfer)
    return found and found.of([volume.disk_id for volume in volumes if volume.base == found.name])


@step("record-replica-{report.machine}")
def record_replica(
    env: Environment, run: Run, report: TransferReport, streamed: Streamed
) -> TransferReport:
    """Write down that the replica equals its machine: only now, when the data is durable."""
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        spare = lifecycle.spare_pool(connection, env.options.worker_image(WORKER_OS))
        done = ledger.volumes(run.transfer)
        witness.write_all(connection, run, done, WitnessState.COMPLETE, spare)
        ledger.complete(run, report, streamed.moment, streamed.checkpoint)
    return report


def transfer_report(
    request: TransferRequest,
    run: Run,
    machine: VirtualMachine,
    plan: VolumePlan,
    worker: Worker,
    streamed: Streamed,
) -> TransferReport:
    """Put together what the execution came to."""
    return TransferReport(
        transfer=run.transfer,
        run=run.id,
        machine=machine.name,
        source=request.source,
        destination=request.destination,
        full=not plan.keep and not plan.grow,
        consistency=streamed.consistency,
        moment=streamed.moment,
        tracking=streamed.tracking,
        plan=plan,
        disks=streamed.disks,
        worker_seconds_to_ssh=worker.seconds_to_ssh,
        stream_seconds=streamed.seconds,
        seconds=(datetime.now(UTC) - run.begun).total_seconds(),
        peak_memory=peak_memory(),
        notes=(*plan.notes, *streamed.notes, *state.notes(machine.states), *machine.dropped),
    )
