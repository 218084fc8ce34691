# SPDX-License-Identifier: Apache-2.0
"""What the ledger knows of all replicas at once: how current each is, and how its last run went."""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, and_, col, func, select

from tradewind.ledger.tables import DiskRow, RunRow, TransferRow
from tradewind.model.ledger import ReplicaState, RunKind, RunState


def read(session: Session) -> list[ReplicaState]:
    """List all transfers with their last run, by machine, source and destination."""
    rows = session.exec(
        select(TransferRow).order_by(
            col(TransferRow.machine_name), col(TransferRow.source), col(TransferRow.destination)
        )
    ).all()
    # A deployment without a clone gives its replica's volumes away: then there is none any more.
    with_volumes = set(session.exec(select(DiskRow.transfer_id).distinct()))
    ended = _last_runs(session)
    return [_state(row, ended.get(row.id), has_volumes=row.id in with_volumes) for row in rows]


class _LastRun(NamedTuple):
    """How the last run on a transfer went; its report stays where it is."""

    transfer_id: str
    kind: str
    state: str
    ended: datetime | None


def _last_runs(session: Session) -> dict[str, _LastRun]:
    """Find the last run on each transfer, all at once."""
    latest = (
        select(RunRow.transfer_id, func.max(RunRow.begun).label("begun"))
        .group_by(col(RunRow.transfer_id))
        .subquery()
    )
    rows = session.exec(
        select(RunRow.transfer_id, RunRow.kind, RunRow.state, RunRow.ended).join(
            latest,
            and_(
                col(RunRow.transfer_id) == latest.c.transfer_id,
                col(RunRow.begun) == latest.c.begun,
            ),
        )
    )
    return {row[0]: _LastRun(*row) for row in rows}


def _state(row: TransferRow, last: _LastRun | None, *, has_volumes: bool) -> ReplicaState:
    return ReplicaState(
        machine=row.machine_name,
        machine_id=row.machine_id,
        source=row.source,
        destination=row.destination,
        consistent=row.consistent if has_volumes else None,
        run_kind=RunKind(last.kind) if last else None,
        run_state=RunState(last.state) if last else None,
        run_ended=last.ended if last else None,
    )


def give_away(session: Session, transfer_id: str) -> None:
    """Forget all volumes of a replica: they belong to a machine now."""
    for row in session.exec(select(DiskRow).where(DiskRow.transfer_id == transfer_id)):
        session.delete(row)
    transfer = session.get_one(TransferRow, transfer_id)
    transfer.synced = transfer.checkpoint = None
    session.add(transfer)
