# SPDX-License-Identifier: Apache-2.0
"""Rows of the ledger's tables to records, and back."""

from tradewind.ledger.tables import DiskRow, TransferRow
from tradewind.model.ledger import Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.storage import Checkpoint, ReplicaVolume, Volume


def transfer_of(row: TransferRow) -> Transfer:
    """Read a transfer."""
    return Transfer(
        id=row.id,
        source=row.source,
        destination=row.destination,
        machine=VirtualMachine.model_validate_json(row.machine),
        synced=row.synced,
        consistent=row.consistent,
        checkpoint=checkpoint_of(row),
    )


def checkpoint_of(row: TransferRow) -> Checkpoint | None:
    """Read what a replica is counted from."""
    return Checkpoint.model_validate_json(row.checkpoint) if row.checkpoint else None


def replica_of(row: DiskRow) -> ReplicaVolume:
    """Read a volume."""
    volume = Volume(pool=row.pool, name=row.volume, capacity=row.capacity, format=row.format)
    return ReplicaVolume(
        disk_id=row.disk_id,
        volume=volume,
        serial=row.serial,
        blank=not row.written,
        location=row.location,
        base=row.base,
        exact=row.exact,
        generation=row.generation,
        writer=row.writer,
    )


def row_of(transfer_id: str, replica: ReplicaVolume) -> DiskRow:
    """Write a volume."""
    return DiskRow(
        transfer_id=transfer_id,
        disk_id=replica.disk_id,
        pool=replica.volume.pool,
        volume=replica.volume.name,
        format=replica.volume.format,
        capacity=replica.volume.capacity,
        serial=replica.serial,
        written=not replica.blank,
        location=replica.location,
        base=replica.base,
        exact=replica.exact,
        generation=replica.generation,
        writer=replica.writer,
    )
