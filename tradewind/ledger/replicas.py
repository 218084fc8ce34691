# SPDX-License-Identifier: Apache-2.0
"""What the ledger knows of all replicas at once: how current each is, and how its last run went."""

from sqlmodel import Session, col, select

from tradewind.ledger.tables import DiskRow, RunRow, TransferRow
from tradewind.model.ledger import ReplicaState, RunKind, RunState


def read(session: Session) -> list[ReplicaState]:
    """List all transfers with their last run, by machine, source and destination."""
    rows = session.exec(
        select(TransferRow).order_by(
            col(TransferRow.machine_name), col(TransferRow.source), col(TransferRow.destination)
        )
    ).all()
    return [_state(session, row) for row in rows]


def _state(session: Session, row: TransferRow) -> ReplicaState:
    last = session.exec(
        select(RunRow).where(RunRow.transfer_id == row.id).order_by(col(RunRow.begun).desc())
    ).first()
    return ReplicaState(
        machine=row.machine_name,
        machine_id=row.machine_id,
        source=row.source,
        destination=row.destination,
        consistent=row.consistent if _has_volumes(session, row) else None,
        run_kind=RunKind(last.kind) if last else None,
        run_state=RunState(last.state) if last else None,
        run_ended=last.ended if last else None,
    )


def _has_volumes(session: Session, row: TransferRow) -> bool:
    """Whether there is a replica still; a deployment without a clone gives its volumes away."""
    volumes = select(DiskRow).where(DiskRow.transfer_id == row.id)
    return session.exec(volumes).first() is not None


def give_away(session: Session, transfer_id: str) -> None:
    """Forget all volumes of a replica: they belong to a machine now."""
    for row in session.exec(select(DiskRow).where(DiskRow.transfer_id == transfer_id)):
        session.delete(row)
    transfer = session.get_one(TransferRow, transfer_id)
    transfer.synced = transfer.checkpoint = None
    session.add(transfer)
