# SPDX-License-Identifier: Apache-2.0
"""Read and write the ledger. Every call is one transaction."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, col, delete, select

from tradewind.errors import BadInputError, NotFoundError
from tradewind.ledger import outages, owners, replicas, runs
from tradewind.ledger.database import open_database, refusal
from tradewind.ledger.outages import Outages
from tradewind.ledger.rows import checkpoint_of, replica_of, row_of, transfer_of
from tradewind.ledger.tables import DiskRow, OutageRow, RunRow, TransferRow
from tradewind.model.ledger import (
    Life,
    Owner,
    ReplicaState,
    RunKind,
    RunState,
    RunSummary,
    Transfer,
)
from tradewind.model.machine import VirtualMachine
from tradewind.model.record import Record
from tradewind.model.run import Run, new_run_id
from tradewind.model.storage import Checkpoint, RenamedDisk, ReplicaVolume
from tradewind.nearest import listed


@contextlib.contextmanager
def open_ledger(place: str) -> Iterator["Ledger"]:
    """Lend the ledger at a SQLite file's path or a SQLAlchemy URL."""
    engine = open_database(place)
    try:
        yield Ledger(engine)
    finally:
        engine.dispose()


class Ledger:
    """Transfers, the runs that work on them, and the volumes that they own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.outages = Outages(self._transaction)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DatabaseError as error:
            raise refusal(self._engine.url, error) from None

    def transaction(self) -> contextlib.AbstractContextManager[Session]:
        """Lend a transaction to the other modules of this room."""
        return self._transaction()

    def note_transfer(self, source: str, destination: str, machine: VirtualMachine) -> Transfer:
        """Find the transfer of a machine, or begin to remember it; keep what it is like now."""
        with self._transaction() as session:
            row = session.exec(
                select(TransferRow).where(
                    TransferRow.source == source,
                    TransferRow.destination == destination,
                    TransferRow.machine_id == machine.id,
                )
            ).first()
            if row is None:
                row = TransferRow(
                    id=secrets.token_hex(4),
                    source=source,
                    destination=destination,
                    machine_id=machine.id,
                    machine_name=machine.name,
                    machine="",
                    created=datetime.now(UTC),
                )
            row.machine_name, row.machine = machine.name, machine.model_dump_json()
            session.add(row)
            return transfer_of(row)

    def find_transfer(self, source: str, destination: str, machine: str) -> Transfer:
        """Find a transfer by the machine's name or id; NotFoundError names the ones there are.

        A machine that was made anew under an old name is another one. The name then means the one
        whose replica is the most recent.
        """
        with self._transaction() as session:
            rows = session.exec(
                select(TransferRow)
                .where(TransferRow.source == source, TransferRow.destination == destination)
                .order_by(
                    col(TransferRow.consistent).is_(None),
                    col(TransferRow.consistent).desc(),
                    col(TransferRow.created).desc(),
                )
            ).all()
        for row in rows:
            if machine in (row.machine_id, row.machine_name):
                return transfer_of(row)
        there = listed((row.machine_name for row in rows), machine)
        raise NotFoundError(
            f"no replica of “{machine}” from {source} on {destination}",
            f"transfer it first; there are replicas of: {there}",
        )

    def find_synced(self, source: str, destination: str, machine: str) -> Transfer:
        """Find a transfer that was completed at least once."""
        transfer = self.find_transfer(source, destination, machine)
        if transfer.synced is None:
            raise NotFoundError(
                f"the replica of “{machine}” on {destination} was never completed",
                "run the transfer until it ends well, then deploy",
            )
        return transfer

    def begin(self, transfer: Transfer, kind: RunKind, owner: Owner | None = None) -> Run:
        """Begin a run; BusyError while another one works on the same transfer.

        A run whose process can be proven dead does not count: it is marked as abandoned. An
        outage that is open does, unless this process drives it.
        """
        run = Run(id=new_run_id(), transfer=transfer.id, begun=datetime.now(UTC))
        with self._transaction() as session:
            runs.lock(session, transfer)
            outages.admit(session, transfer, run.id, kind)
            for other in session.exec(
                select(RunRow).where(
                    RunRow.transfer_id == transfer.id, RunRow.state == RunState.RUNNING
                )
            ):
                runs.take_over(session, other, transfer)
                session.add(other)
            session.add(
                RunRow(
                    id=run.id,
                    transfer_id=transfer.id,
                    kind=kind,
                    state=RunState.RUNNING,
                    begun=run.begun,
                    owner=(owner or owners.current()).model_dump_json(),
                )
            )
        return run

    def finish(
        self, run: Run, state: RunState, report: Record | None = None, *, gives_away: bool = False
    ) -> None:
        """Write down how a run ended, and whether the replica's volumes are a machine's now.

        The end of a deployment that went well is the point of no return of its outage.
        """
        with self._transaction() as session:
            runs.end(session, run, state, report)
            if state is RunState.COMPLETED:
                outages.pass_the_point(session, run.id)
            if gives_away:
                replicas.give_away(session, run.transfer)

    def is_completed(self, run_id: str) -> bool:
        """Whether a run ended well, or its machine was kept: nothing that it made may be undone."""
        with self._transaction() as session:
            return runs.life_of(session, run_id) is Life.FINISHED

    def complete(
        self, run: Run, report: Record, moment: datetime, checkpoint: Checkpoint | None
    ) -> None:
        """Write down that the replica equals its machine as of a moment, and that the run is over.

        All at once: what is counted from a checkpoint must never be found without its run.
        """
        with self._transaction() as session:
            row = session.get_one(TransferRow, run.transfer)
            row.synced = row.consistent = moment
            row.checkpoint = checkpoint.model_dump_json() if checkpoint else None
            session.add(row)
            covered = {disk.disk_id for disk in checkpoint.disks} if checkpoint else set()
            for disk in session.exec(select(DiskRow).where(DiskRow.transfer_id == run.transfer)):
                disk.exact = disk.disk_id in covered
                disk.base = checkpoint.name if checkpoint and disk.exact else None
                session.add(disk)
            runs.end(session, run, RunState.COMPLETED, report)

    def checkpoint(self, transfer_id: str) -> Checkpoint | None:
        """Return what the source can compare a later state of the machine with."""
        with self._transaction() as session:
            return checkpoint_of(session.get_one(TransferRow, transfer_id))

    def last_report(self, transfer: Transfer) -> tuple[RunKind, str] | None:
        """Return kind and report (JSON) of the last run that ended well; None without one."""
        with self._transaction() as session:
            row = session.exec(
                select(RunRow)
                .where(RunRow.transfer_id == transfer.id, RunRow.state == RunState.COMPLETED)
                .order_by(col(RunRow.begun).desc())
            ).first()
        return (RunKind(row.kind), row.report) if row and row.report else None

    def report_of(self, run_id: str) -> str | None:
        """Return the report (JSON) of a run that ended well."""
        with self._transaction() as session:
            row = session.get(RunRow, run_id)
            return row.report if row is not None else None

    def last_runs(self, transfer_id: str, count: int) -> list[RunSummary]:
        """List the latest runs on a transfer, the latest first."""
        with self._transaction() as session:
            return runs.latest(session, transfer_id, count)

    def mark_changed(self, transfer_id: str, *, for_good: bool = False) -> None:
        """Write down that the replica no longer equals its machine.

        For good: by something other than an execution, so that no range can count as clean.
        """
        with self._transaction() as session:
            row = session.get_one(TransferRow, transfer_id)
            row.synced = None
            row.checkpoint = None if for_good else row.checkpoint
            session.add(row)

    def executions_from(self, source: str) -> int:
        """Count the executions under way that read from a source; a dead one does not count."""
        with self._transaction() as session:
            return runs.executions_from(session, source)

    def life_of(self, run_id: str) -> Life | None:
        """Return whether a run's process lives; None for a run that this ledger does not know.

        A run that ended well is FINISHED and not DEAD: what it made belongs to somebody. So does
        what a HELD one made: the new machine of an outage that a person has to decide about.
        """
        with self._transaction() as session:
            if outages.holds(session, run_id):
                return Life.HELD
            return runs.life_of(session, run_id)

    def ended_badly(self, transfer_id: str) -> frozenset[str]:
        """Name the runs of a transfer that failed or were abandoned: nothing of theirs is needed.

        The latest hundred: what an older one left was removed by those after it.
        """
        with self._transaction() as session:
            return runs.ended_badly(session, transfer_id)

    def give_up(self, host: str) -> tuple[str, ...]:
        """Take a machine's runs for dead because somebody knows that it is gone; name them.

        BadInputError: it is this machine, where the life of a run can be proven.
        """
        if host == owners.current().host:
            raise BadInputError(
                f"{host} is this machine", "what died here is found by `tradewind sweep`"
            )
        with self._transaction() as session:
            outages.disown(session, host)
            return runs.give_up(session, host)

    def abandon_dead(self) -> tuple[str, ...]:
        """Mark the runs whose process is proven dead as abandoned, and name them.

        Only where they ran can that be proven: this is what the sweep does for other machines.
        """
        with self._transaction() as session:
            return runs.abandon_dead(session)

    def replicas(self) -> list[ReplicaState]:
        """Return the state of every replica, and of its last run."""
        with self._transaction() as session:
            return replicas.read(session)

    def latest_runs(self, transfer_id: str) -> list[RunSummary]:
        """Give the latest run of each kind that worked on a transfer, the newest first."""
        with self._transaction() as session:
            return runs.latest_of_each_kind(session, transfer_id)

    def volumes(self, transfer_id: str) -> list[ReplicaVolume]:
        """List the volumes of a transfer's replica."""
        with self._transaction() as session:
            rows = session.exec(
                select(DiskRow)
                .where(DiskRow.transfer_id == transfer_id)
                .order_by(col(DiskRow.disk_id))
            ).all()
        return [replica_of(row) for row in rows]

    def plan_volumes(self, transfer_id: str, volumes: Sequence[ReplicaVolume]) -> None:
        """Write down volumes before they are made, or that they have grown or were written to."""
        with self._transaction() as session:
            for volume in volumes:
                session.merge(row_of(transfer_id, volume))

    def rename_disks(self, transfer_id: str, renamed: Sequence[RenamedDisk]) -> None:
        """Write down what disks are called now; their bitmaps are not asked for by the old name."""
        with self._transaction() as session:
            found = [(session.get_one(DiskRow, (transfer_id, each.was)), each) for each in renamed]
            known = [(replica_of(row), each) for row, each in found]
            for row, _ in found:
                session.delete(row)
            session.flush()
            for replica, each in known:
                update = {"disk_id": each.disk_id, "base": None, "exact": False}
                session.add(row_of(transfer_id, replica.model_copy(update=update)))

    def resize_volume(self, transfer_id: str, disk_id: str, capacity: int) -> None:
        """Write down a volume's new capacity."""
        with self._transaction() as session:
            row = session.get_one(DiskRow, (transfer_id, disk_id))
            row.capacity = capacity
            session.add(row)

    def forget_transfer(self, transfer_id: str) -> None:
        """Forget a transfer, its volumes, its runs and their reports, all at once."""
        with self._transaction() as session:
            for table in (DiskRow, OutageRow, RunRow):
                session.exec(delete(table).where(col(table.transfer_id) == transfer_id))
            session.exec(delete(TransferRow).where(col(TransferRow.id) == transfer_id))

    def forget_volume(self, transfer_id: str, disk_id: str) -> None:
        """Forget a volume that is gone."""
        with self._transaction() as session:
            row = session.get(DiskRow, (transfer_id, disk_id))
            if row is not None:
                session.delete(row)
