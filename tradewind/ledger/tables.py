# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables. A change here needs a migration (migrations/versions)."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Text, TypeDecorator, UniqueConstraint
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite forgets the time zone, and the comparison with it then fails."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Store what the clock said in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Say again that it is UTC."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


# MySQL wants a length, and allows an index over three such columns no more than this.
NAME_LENGTH: Final = 255


class TransferRow(SQLModel, table=True):
    """One machine on its way."""

    __tablename__ = "transfer"
    __table_args__ = (UniqueConstraint("source", "destination", "machine_id"),)

    id: str = Field(primary_key=True, max_length=8)
    source: str = Field(max_length=NAME_LENGTH)
    destination: str = Field(max_length=NAME_LENGTH)
    machine_id: str = Field(max_length=NAME_LENGTH)
    machine_name: str = Field(index=True, max_length=NAME_LENGTH)
    machine: str = Field(sa_column=Column(Text, nullable=False))
    created: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    # None while the replica is being written to, or was left half-written.
    synced: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # The last point in time that the replica was made equal to; it stays known afterwards.
    consistent: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    checkpoint: str | None = Field(default=None, sa_column=Column(Text))


class RunRow(SQLModel, table=True):
    """One execution or deployment: who drives it, how it ended, and its report."""

    __tablename__ = "run"

    id: str = Field(primary_key=True, max_length=12)
    transfer_id: str = Field(foreign_key="transfer.id", index=True, max_length=8)
    kind: str = Field(max_length=16)
    state: str = Field(index=True, max_length=16)
    begun: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ended: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    report: str | None = Field(default=None, sa_column=Column(Text))


class OutageRow(SQLModel, table=True):
    """One outage of a move: from before the shutdown until exactly one machine is in charge."""

    __tablename__ = "outage"

    id: str = Field(primary_key=True, max_length=12)
    transfer_id: str = Field(foreign_key="transfer.id", index=True, max_length=8)
    begun: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ended: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    phase: str = Field(max_length=24)
    end: str | None = Field(default=None, max_length=16)
    # The original as it was before, and what was asked for: what it takes to go on or back.
    machine: str = Field(sa_column=Column(Text, nullable=False))
    request: str = Field(sa_column=Column(Text, nullable=False))
    # None when somebody gave up the machine that its process ran on.
    owner: str | None = Field(default=None, sa_column=Column(Text))
    # The run that makes the new machine, and that machine, from before it is defined.
    deployment: str | None = Field(default=None, index=True, max_length=12)
    new_name: str | None = Field(default=None, max_length=NAME_LENGTH)
    new_uuid: str | None = Field(default=None, max_length=36)


class DiskRow(SQLModel, table=True):
    """One source disk and the volume that holds its replica."""

    __tablename__ = "disk"

    transfer_id: str = Field(foreign_key="transfer.id", primary_key=True, max_length=8)
    disk_id: str = Field(primary_key=True, max_length=NAME_LENGTH)
    pool: str = Field(max_length=NAME_LENGTH)
    volume: str = Field(max_length=NAME_LENGTH)
    format: str = Field(max_length=16)
    capacity: int = Field(sa_column=Column(BigInteger, nullable=False))
    serial: str = Field(max_length=20)
    # From before the first byte is written until the volume is gone.
    written: bool = False
    # Where the source kept the disk when it was last sent.
    location: str = Field(default="", max_length=1024)
    # The checkpoint since which clean ranges need not be looked at, and whether all is as of it.
    base: str | None = Field(default=None, max_length=64)
    exact: bool = False
    # The last writing, as the volume's witness on the host has it too.
    generation: int = 0
    writer: str = Field(default="", max_length=12)


class KeptRow(SQLModel, table=True):
    """A machine that waits for a person; it outlives the transfer that it came from."""

    __tablename__ = "kept"

    run: str = Field(primary_key=True, max_length=12)
    transfer: str = Field(max_length=8)
    domain: str = Field(max_length=NAME_LENGTH)
    destination: str = Field(max_length=NAME_LENGTH)
    since: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    why: str = Field(sa_column=Column(Text, nullable=False))


metadata = SQLModel.metadata
