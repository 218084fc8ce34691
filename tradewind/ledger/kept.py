# SPDX-License-Identifier: Apache-2.0
"""Machines that were left for a person: written down before their host is told so."""

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from tradewind.ledger.journal import Ledger
from tradewind.ledger.tables import DiskRow, KeptRow, RunRow, TransferRow
from tradewind.model.ledger import Kept, RunState
from tradewind.model.storage import ReplicaVolume


def keep(ledger: Ledger, kept: Kept, given: Collection[str]) -> None:
    """Remember a machine, and that the disks `given` of the replica are its own from now on.

    All at once: a machine that is kept must never be found without its disks.
    """
    with ledger.transaction() as session:
        session.merge(KeptRow(**kept.model_dump()))
        run = session.get(RunRow, kept.run)
        if run is not None and run.state in (RunState.FAILED, RunState.ABANDONED):
            run.state = RunState.KEPT
            session.add(run)
        _give(session, kept.transfer, given)


def give(ledger: Ledger, transfer_id: str, given: Collection[str]) -> None:
    """Forget some volumes of a replica: they belong to a machine now."""
    with ledger.transaction() as session:
        _give(session, transfer_id, given)


def destination_of(ledger: Ledger, transfer_id: str) -> str:
    """Name the block of the host that a transfer goes to."""
    with ledger.transaction() as session:
        return session.get_one(TransferRow, transfer_id).destination


def withdraw(ledger: Ledger, kept: Kept, replica: Sequence[ReplicaVolume]) -> None:
    """Take back that a machine is kept: it could not be; its disks are the replica's again."""
    accept(ledger, kept.run)
    ledger.plan_volumes(kept.transfer, replica)


def all_kept(ledger: Ledger) -> list[Kept]:
    """List the machines that wait for a person, the oldest first."""
    with ledger.transaction() as session:
        rows = session.exec(select(KeptRow).order_by(col(KeptRow.since))).all()
        return [Kept.model_validate(row.model_dump()) for row in rows]


def accept(ledger: Ledger, run: str) -> Kept | None:
    """Forget that a machine waits: it is one like any other, or gone. None: it does not wait."""
    with ledger.transaction() as session:
        row = session.get(KeptRow, run)
        if row is None:
            return None
        session.delete(row)
        return Kept.model_validate(row.model_dump())


def _give(session: Session, transfer_id: str, given: Collection[str]) -> None:
    transfer = session.get(TransferRow, transfer_id)
    if transfer is None or not given:
        return
    for disk_id in given:
        row = session.get(DiskRow, (transfer_id, disk_id))
        if row is not None:
            session.delete(row)
    transfer.synced = transfer.checkpoint = None
    session.add(transfer)
