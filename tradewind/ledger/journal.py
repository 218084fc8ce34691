# SPDX-License-Identifier: Apache-2.0
"""Read and write the ledger. Every call is one transaction."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, col, select

from tradewind.errors import BusyError, NotFoundError
from tradewind.ledger import owners
from tradewind.ledger.database import open_database, refusal
from tradewind.ledger.tables import DiskRow, RunRow, TransferRow
from tradewind.model.ledger import Life, Owner, RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.record import Record
from tradewind.model.run import Run, new_run_id
from tradewind.model.storage import ReplicaVolume, Volume


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

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DatabaseError as error:
            raise refusal(self._engine.url, error) from None

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
            return _transfer(row)

    def find_transfer(self, source: str, destination: str, machine: str) -> Transfer:
        """Find a transfer by the machine's name or id; NotFoundError names the ones there are."""
        with self._transaction() as session:
            rows = session.exec(
                select(TransferRow).where(
                    TransferRow.source == source, TransferRow.destination == destination
                )
            ).all()
        for row in rows:
            if machine in (row.machine_id, row.machine_name):
                return _transfer(row)
        there = ", ".join(sorted(row.machine_name for row in rows)) or "none"
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

        A run whose process can be proven dead does not count: it is marked as abandoned.
        """
        run = Run(id=new_run_id(), transfer=transfer.id, begun=datetime.now(UTC))
        with self._transaction() as session:
            session.exec(
                select(TransferRow).where(TransferRow.id == transfer.id).with_for_update()
            ).one()
            for other in session.exec(
                select(RunRow).where(
                    RunRow.transfer_id == transfer.id, RunRow.state == RunState.RUNNING
                )
            ):
                _take_over(other, transfer)
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

    def finish(self, run: Run, state: RunState, report: Record | None = None) -> None:
        """Write down how a run ended."""
        with self._transaction() as session:
            row = session.get_one(RunRow, run.id)
            row.state, row.ended = state, datetime.now(UTC)
            row.report = report.model_dump_json() if report else None
            session.add(row)

    def mark_synced(self, run: Run) -> None:
        """Write down that the replica equals its machine as of the run's beginning."""
        with self._transaction() as session:
            row = session.get_one(TransferRow, run.transfer)
            row.synced = run.begun
            session.add(row)

    def last_report(self, transfer: Transfer) -> tuple[RunKind, str] | None:
        """Return kind and report (JSON) of the last run that ended well; None without one."""
        with self._transaction() as session:
            row = session.exec(
                select(RunRow)
                .where(RunRow.transfer_id == transfer.id, RunRow.state == RunState.COMPLETED)
                .order_by(col(RunRow.begun).desc())
            ).first()
        return (RunKind(row.kind), row.report) if row and row.report else None

    def mark_changed(self, transfer_id: str) -> None:
        """Write down that the replica no longer equals its machine."""
        with self._transaction() as session:
            row = session.get_one(TransferRow, transfer_id)
            row.synced = None
            session.add(row)

    def life_of(self, run_id: str) -> Life | None:
        """Say whether a run's process lives; None for a run that this ledger does not know.

        A run that ended well is FINISHED and not DEAD: what it made belongs to somebody.
        """
        with self._transaction() as session:
            row = session.get(RunRow, run_id)
        if row is None:
            return None
        if row.state == RunState.COMPLETED:
            return Life.FINISHED
        if row.state != RunState.RUNNING:
            return Life.DEAD
        return owners.life(Owner.model_validate_json(row.owner))

    def abandon_dead(self) -> tuple[str, ...]:
        """Mark the runs whose process is proven dead as abandoned, and name them.

        Only where they ran can that be proven: this is what the sweep does for other machines.
        """
        with self._transaction() as session:
            running = session.exec(select(RunRow).where(RunRow.state == RunState.RUNNING)).all()
            dead = [
                row
                for row in running
                if owners.life(Owner.model_validate_json(row.owner)) is Life.DEAD
            ]
            for row in dead:
                row.state, row.ended = RunState.ABANDONED, datetime.now(UTC)
                session.add(row)
            return tuple(row.id for row in dead)

    def volumes(self, transfer_id: str) -> list[ReplicaVolume]:
        """List the volumes of a transfer's replica."""
        with self._transaction() as session:
            rows = session.exec(
                select(DiskRow)
                .where(DiskRow.transfer_id == transfer_id)
                .order_by(col(DiskRow.disk_id))
            ).all()
        return [_replica(row) for row in rows]

    def plan_volumes(self, transfer_id: str, volumes: Sequence[ReplicaVolume]) -> None:
        """Write down volumes before they are made, or that they have grown or were written to."""
        with self._transaction() as session:
            for volume in volumes:
                session.merge(_row(transfer_id, volume))

    def resize_volume(self, transfer_id: str, disk_id: str, capacity: int) -> None:
        """Write down a volume's new capacity."""
        with self._transaction() as session:
            row = session.get_one(DiskRow, (transfer_id, disk_id))
            row.capacity = capacity
            session.add(row)

    def give_away(self, transfer_id: str) -> None:
        """Forget all volumes of a replica: they belong to a machine now."""
        with self._transaction() as session:
            for row in session.exec(select(DiskRow).where(DiskRow.transfer_id == transfer_id)):
                session.delete(row)
            transfer = session.get_one(TransferRow, transfer_id)
            transfer.synced = None
            session.add(transfer)

    def forget_volume(self, transfer_id: str, disk_id: str) -> None:
        """Forget a volume that is gone."""
        with self._transaction() as session:
            row = session.get(DiskRow, (transfer_id, disk_id))
            if row is not None:
                session.delete(row)


def _take_over(other: RunRow, transfer: Transfer) -> None:
    owner = Owner.model_validate_json(other.owner)
    match owners.life(owner):
        case Life.DEAD:
            other.state, other.ended = RunState.ABANDONED, datetime.now(UTC)
        case Life.ALIVE:
            raise BusyError(
                f"{other.kind} {other.id} works on {transfer.machine.name} already"
                f" (process {owner.pid} on {owner.host})",
                "wait until it has ended, or cancel it",
            )
        case Life.UNKNOWN:
            raise BusyError(
                f"{other.kind} {other.id} of {transfer.machine.name} was begun on {owner.host}"
                f" (process {owner.pid}), and from here nobody can tell whether it still runs",
                f"look there; if it is gone, run the sweep on {owner.host}",
            )


def _transfer(row: TransferRow) -> Transfer:
    return Transfer(
        id=row.id,
        source=row.source,
        destination=row.destination,
        machine=VirtualMachine.model_validate_json(row.machine),
        synced=row.synced,
    )


def _replica(row: DiskRow) -> ReplicaVolume:
    volume = Volume(pool=row.pool, name=row.volume, capacity=row.capacity, format=row.format)
    return ReplicaVolume(
        disk_id=row.disk_id, volume=volume, serial=row.serial, blank=not row.written
    )


def _row(transfer_id: str, replica: ReplicaVolume) -> DiskRow:
    return DiskRow(
        transfer_id=transfer_id,
        disk_id=replica.disk_id,
        pool=replica.volume.pool,
        volume=replica.volume.name,
        format=replica.volume.format,
        capacity=replica.volume.capacity,
        serial=replica.serial,
        written=not replica.blank,
    )
