# SPDX-License-Identifier: Apache-2.0
"""Outages in the ledger: begun before a machine is shut down, ended when exactly one runs again."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from sqlmodel import Session, col, select

from tradewind.errors import BusyError, NotFoundError
from tradewind.ledger import owners
from tradewind.ledger.tables import OutageRow, TransferRow
from tradewind.model.cutover import NewMachine, Outage
from tradewind.model.ledger import Life, Owner, RunKind, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.migrate import MigrateRequest
from tradewind.model.outage import OpenOutage, OutageEnd, OutagePhase
from tradewind.model.run import new_run_id

Transaction = Callable[[], AbstractContextManager[Session]]

_ORDER = list(OutagePhase)


class Outages:
    """The ledger's outages; every call is one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def begin(self, transfer_id: str, machine: VirtualMachine, request: MigrateRequest) -> Outage:
        """Write down that a machine is about to be shut down; BusyError while another is open."""
        with self._transaction() as session:
            _refuse_foreign(session, transfer_id, machine.name)
            if (ours := _open_row(session, transfer_id)) is not None:
                return _outage(session, ours)
            row = OutageRow(
                id=new_run_id(),
                transfer_id=transfer_id,
                begun=datetime.now(UTC),
                phase=OutagePhase.BEGUN,
                machine=machine.model_dump_json(),
                request=request.model_dump_json(),
                owner=owners.current().model_dump_json(),
            )
            session.add(row)
            return _outage(session, row)

    def get(self, outage_id: str) -> Outage:
        """Read an outage, whether or not it is open."""
        with self._transaction() as session:
            return _outage(session, session.get_one(OutageRow, outage_id))

    def reached(self, outage_id: str, phase: OutagePhase) -> None:
        """Write down how far it came; it never goes back to an earlier phase."""
        with self._transaction() as session:
            _advance(session, session.get_one(OutageRow, outage_id), phase)

    def lands(self, run_id: str, name: str, uuid: str) -> None:
        """Write down, before a deployment defines it, what the new machine is called.

        Nothing happens for a deployment that ends no outage.
        """
        with self._transaction() as session:
            row = _row_of_deployment(session, run_id)
            if row is not None:
                row.new_name, row.new_uuid = name, uuid
                _advance(session, row, OutagePhase.DEFINED)

    def end(self, outage_id: str, end: OutageEnd) -> None:
        """Write down that exactly one machine is in charge again, and which."""
        with self._transaction() as session:
            row = session.get_one(OutageRow, outage_id)
            row.end, row.ended = end, datetime.now(UTC)
            session.add(row)

    def open(self) -> list[OpenOutage]:
        """List the outages that have not ended, the oldest first."""
        with self._transaction() as session:
            rows = session.exec(
                select(OutageRow)
                .where(col(OutageRow.ended).is_(None))
                .order_by(col(OutageRow.begun))
            ).all()
            return [_in_short(_outage(session, row)) for row in rows]

    def find(
        self, machine: str, source: str | None = None, destination: str | None = None
    ) -> Outage:
        """Find a machine's open outage; NotFoundError names the ones there are."""
        with self._transaction() as session:
            rows = session.exec(select(OutageRow).where(col(OutageRow.ended).is_(None))).all()
            known = [_outage(session, row) for row in rows]
        found = [
            each
            for each in known
            if machine in (each.machine.id, each.machine.name)
            and source in (None, each.source)
            and destination in (None, each.destination)
        ]
        if len(found) == 1:
            return found[0]
        there = "; ".join(f"{e.machine.name} ({e.source} → {e.destination})" for e in known)
        if found:
            raise NotFoundError(
                f"more than one move of “{machine}” is unfinished", f"say which: {there}"
            )
        raise NotFoundError(
            f"no move of “{machine}” is unfinished", f"unfinished moves: {there or 'none'}"
        )

    def require_none(self, machine: str, source: str, destination: str) -> None:
        """Raise BusyError when a move of the machine is unfinished or driven by another process."""
        with self._transaction() as session:
            rows = session.exec(
                select(TransferRow).where(
                    TransferRow.source == source, TransferRow.destination == destination
                )
            ).all()
            for row in rows:
                if machine in (row.machine_id, row.machine_name):
                    _refuse_foreign(session, row.id, row.machine_name)

    def take_over(self, outage_id: str) -> Outage:
        """Make this process the one that works on an outage; BusyError unless the other is dead."""
        with self._transaction() as session:
            wanted = select(OutageRow).where(OutageRow.id == outage_id).with_for_update()
            row = session.exec(wanted).one()
            outage = _outage(session, row)
            if row.ended is not None:
                raise NotFoundError(
                    f"the outage of {outage.machine.name} has ended: {row.end}", "nothing is to do"
                )
            if not _is_ours(row) and outage.driver is not Life.DEAD:
                raise BusyError(_still_driven(row, outage), _where_to_look(row))
            row.owner = owners.current().model_dump_json()
            session.add(row)
            return _outage(session, row)


def admit(session: Session, transfer: Transfer, run_id: str, kind: RunKind) -> None:
    """Refuse a run on a machine whose outage is open, unless this process drives it.

    Such a run would remove what the dead one left: the new machine, which may be all there is.
    """
    _refuse_foreign(session, transfer.id, transfer.machine.name)
    row = _open_row(session, transfer.id)
    if row is not None and kind is RunKind.DEPLOYMENT:
        row.deployment = run_id
        session.add(row)


def pass_the_point(session: Session, run_id: str) -> None:
    """Write down that there is no return any more, if this deployment ends an outage."""
    row = _row_of_deployment(session, run_id)
    if row is not None:
        _advance(session, row, OutagePhase.PROVEN)


def holds(session: Session, run_id: str) -> bool:
    """Whether a run made the new machine of an outage that nobody works on any more."""
    row = _row_of_deployment(session, run_id)
    return row is not None and row.ended is None and _driver(row) is not Life.ALIVE


def disown(session: Session, host: str) -> None:
    """Take the processes of a machine that is gone for dead."""
    for row in session.exec(select(OutageRow).where(col(OutageRow.ended).is_(None))):
        if row.owner and Owner.model_validate_json(row.owner).host == host:
            row.owner = None
            session.add(row)


def _refuse_foreign(session: Session, transfer_id: str, machine: str) -> None:
    row = _open_row(session, transfer_id)
    if row is None or _is_ours(row):
        return
    since = f"{row.begun.astimezone():%Y-%m-%d %H:%M}"
    if _driver(row) is Life.ALIVE:
        raise BusyError(
            f"a move of {machine} is under way, its outage since {since} ({row.phase})",
            "wait until it has ended",
        )
    raise BusyError(
        f"a move of {machine} is unfinished: its outage began {since} ({row.phase})",
        f"finish it: tradewind move resume {machine}; or undo it: tradewind move rollback"
        f" {machine}",
    )


def _open_row(session: Session, transfer_id: str) -> OutageRow | None:
    return session.exec(
        select(OutageRow).where(
            OutageRow.transfer_id == transfer_id, col(OutageRow.ended).is_(None)
        )
    ).first()


def _row_of_deployment(session: Session, run_id: str) -> OutageRow | None:
    return session.exec(select(OutageRow).where(OutageRow.deployment == run_id)).first()


def _advance(session: Session, row: OutageRow, phase: OutagePhase) -> None:
    if _ORDER.index(phase) > _ORDER.index(OutagePhase(row.phase)):
        row.phase = phase
    session.add(row)


def _is_ours(row: OutageRow) -> bool:
    return row.owner is not None and Owner.model_validate_json(row.owner) == owners.current()


def _driver(row: OutageRow) -> Life:
    return owners.life(Owner.model_validate_json(row.owner)) if row.owner else Life.DEAD


def _still_driven(row: OutageRow, outage: Outage) -> str:
    owner = Owner.model_validate_json(row.owner or "")
    life = "still works" if outage.driver is Life.ALIVE else "may still work"
    return (
        f"process {owner.pid} on {owner.host} {life} on the move of {outage.machine.name}"
        f" ({outage.phase})"
    )


def _where_to_look(row: OutageRow) -> str:
    owner = Owner.model_validate_json(row.owner or "")
    forget = f"tradewind controller forget {owner.host}"
    return f"end it there first; if {owner.host} is gone for good: {forget}"


def _outage(session: Session, row: OutageRow) -> Outage:
    transfer = session.get_one(TransferRow, row.transfer_id)
    new = None
    if row.deployment and row.new_name and row.new_uuid:
        new = NewMachine(run=row.deployment, name=row.new_name, uuid=row.new_uuid)
    return Outage(
        id=row.id,
        transfer=row.transfer_id,
        source=transfer.source,
        destination=transfer.destination,
        begun=row.begun,
        phase=OutagePhase(row.phase),
        machine=VirtualMachine.model_validate_json(row.machine),
        request=MigrateRequest.model_validate_json(row.request),
        driver=_driver(row),
        deployment=row.deployment,
        new=new,
    )


def _in_short(outage: Outage) -> OpenOutage:
    return OpenOutage(
        machine=outage.machine.name,
        machine_id=outage.machine.id,
        source=outage.source,
        destination=outage.destination,
        since=outage.begun,
        phase=outage.phase,
        driver=outage.driver,
        new_machine=outage.new.name if outage.new else None,
    )
