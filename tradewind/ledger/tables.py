# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables. A change here needs a migration (migrations/versions)."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class TransferRow(SQLModel, table=True):
    """One machine on its way."""

    __tablename__ = "transfer"
    __table_args__ = (UniqueConstraint("source", "destination", "machine_id"),)

    id: str = Field(primary_key=True, max_length=8)
    source: str
    destination: str
    machine_id: str
    machine_name: str = Field(index=True)
    machine: str = Field(sa_column=Column(Text, nullable=False))
    created: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    synced: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class RunRow(SQLModel, table=True):
    """One execution or deployment: who drives it, how it ended, and its report."""

    __tablename__ = "run"

    id: str = Field(primary_key=True, max_length=12)
    transfer_id: str = Field(foreign_key="transfer.id", index=True)
    kind: str
    state: str = Field(index=True)
    begun: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    ended: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    report: str | None = Field(default=None, sa_column=Column(Text))


class DiskRow(SQLModel, table=True):
    """One source disk and the volume that holds its replica."""

    __tablename__ = "disk"

    transfer_id: str = Field(foreign_key="transfer.id", primary_key=True)
    disk_id: str = Field(primary_key=True)
    pool: str
    volume: str
    format: str
    capacity: int = Field(sa_column=Column(BigInteger, nullable=False))
    serial: str
    # From before the first byte is written until the volume is gone.
    written: bool = False


metadata = SQLModel.metadata
