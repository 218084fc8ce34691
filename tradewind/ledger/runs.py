# SPDX-License-Identifier: Apache-2.0
"""Runs in the ledger: who works on what, who is dead, how they ended."""

from datetime import UTC, datetime

from sqlmodel import Session, col, select

from tradewind.errors import BusyError
from tradewind.ledger import owners
from tradewind.ledger.tables import KeptRow, RunRow, TransferRow
from tradewind.model.ledger import Life, Owner, RunKind, RunState, RunSummary, Transfer
from tradewind.model.record import Record
from tradewind.model.run import Run


def end(session: Session, run: Run, state: RunState, report: Record | None) -> None:
    """Write down how a run ended; one that was completed stays so.

    One that failed, and whose machine was kept, is KEPT.
    """
    row = session.get_one(RunRow, run.id)
    if row.state == RunState.COMPLETED:
        return
    if state is RunState.FAILED and session.get(KeptRow, run.id) is not None:
        state = RunState.KEPT
    row.state, row.ended = state, datetime.now(UTC)
    row.report = report.model_dump_json() if report else None
    session.add(row)


def lock(session: Session, transfer: Transfer) -> None:
    """Keep others from beginning a run on a transfer; BusyError when it was deleted meanwhile."""
    wanted = select(TransferRow).where(TransferRow.id == transfer.id).with_for_update()
    if session.exec(wanted).first() is None:
        raise BusyError(
            f"the replica of {transfer.machine.name} was deleted at this moment", "start again"
        )


def _lost(session: Session, row: RunRow) -> RunState:
    """Return what a run is whose process died: one that had decided to keep its machine is KEPT."""
    return RunState.KEPT if session.get(KeptRow, row.id) else RunState.ABANDONED


def take_over(session: Session, other: RunRow, transfer: Transfer) -> None:
    """Mark another run of a transfer as abandoned; BusyError unless it is proven dead."""
    owner = Owner.model_validate_json(other.owner)
    match owners.life(owner):
        case Life.DEAD:
            other.state, other.ended = _lost(session, other), datetime.now(UTC)
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
                f"look there, and run the sweep there; if that machine is gone for good:"
                f" tradewind controller forget {owner.host}",
            )


def executions_from(session: Session, source: str) -> int:
    """Count the executions under way that read from a source; a dead one does not count."""
    running = session.exec(
        select(RunRow.owner)
        .join(TransferRow, col(TransferRow.id) == col(RunRow.transfer_id))
        .where(
            TransferRow.source == source,
            RunRow.kind == RunKind.EXECUTION,
            RunRow.state == RunState.RUNNING,
        )
    ).all()
    return sum(owners.life(Owner.model_validate_json(owner)) is not Life.DEAD for owner in running)


def life_of(session: Session, run_id: str) -> Life | None:
    """Return whether a run's process lives; None for a run that is not known."""
    row = session.get(RunRow, run_id)
    if row is None:
        return None
    kept = session.get(KeptRow, run_id) is not None
    if kept or row.state in (RunState.COMPLETED, RunState.KEPT):
        return Life.FINISHED
    if row.state != RunState.RUNNING:
        return Life.DEAD
    return owners.life(Owner.model_validate_json(row.owner))


def ended_badly(session: Session, transfer_id: str) -> frozenset[str]:
    """Name the latest hundred runs of a transfer that failed or were abandoned."""
    rows = session.exec(
        select(RunRow)
        .where(
            RunRow.transfer_id == transfer_id,
            col(RunRow.state).in_([RunState.FAILED, RunState.ABANDONED]),
        )
        .order_by(col(RunRow.begun).desc())
        .limit(100)
    ).all()
    return frozenset(row.id for row in rows)


def latest(session: Session, transfer_id: str, count: int) -> list[RunSummary]:
    """List the latest runs on a transfer."""
    rows = session.exec(
        select(RunRow)
        .where(RunRow.transfer_id == transfer_id)
        .order_by(col(RunRow.begun).desc())
        .limit(count)
    ).all()
    return [_summary(row) for row in rows]


def latest_of_each_kind(session: Session, transfer_id: str) -> list[RunSummary]:
    """Give the latest run of each kind, the newest first."""
    found = (
        session.exec(
            select(RunRow)
            .where(RunRow.transfer_id == transfer_id, RunRow.kind == kind)
            .order_by(col(RunRow.begun).desc())
        ).first()
        for kind in RunKind
    )
    return sorted((_summary(row) for row in found if row), key=lambda run: run.begun, reverse=True)


def _summary(row: RunRow) -> RunSummary:
    return RunSummary(
        id=row.id,
        kind=RunKind(row.kind),
        state=RunState(row.state),
        begun=row.begun,
        ended=row.ended,
        host=Owner.model_validate_json(row.owner).host,
    )


def give_up(session: Session, host: str) -> tuple[str, ...]:
    """Mark the runs that were begun on a machine as abandoned, whether or not they live."""
    running = session.exec(select(RunRow).where(RunRow.state == RunState.RUNNING)).all()
    lost = [row for row in running if Owner.model_validate_json(row.owner).host == host]
    for row in lost:
        row.state, row.ended = _lost(session, row), datetime.now(UTC)
        session.add(row)
    return tuple(row.id for row in lost)


def abandon_dead(session: Session) -> tuple[str, ...]:
    """Mark the runs whose process is proven dead as abandoned, and name them."""
    running = session.exec(select(RunRow).where(RunRow.state == RunState.RUNNING)).all()
    dead = [
        row for row in running if owners.life(Owner.model_validate_json(row.owner)) is Life.DEAD
    ]
    for row in dead:
        row.state, row.ended = _lost(session, row), datetime.now(UTC)
        session.add(row)
    return tuple(row.id for row in dead)
