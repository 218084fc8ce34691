# SPDX-License-Identifier: Apache-2.0
"""Everything that is known of one transfer."""

from collections.abc import Iterator, Sequence

from pydantic import Field
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cli.printing import moment
from cli.transfer_tables import ListedTransfer
from deployments.stored import Stored
from tradewind.model.ledger import RunSummary
from tradewind.model.record import Record
from tradewind.model.requests import TransferRequest
from tradewind.model.storage import ReplicaVolume
from tradewind.units import human_size


class ReplicaDisk(Record):
    """A source disk and the volume that holds its replica."""

    disk: str = Field(description="What the disk is called on its source.")
    capacity: int = Field(description="Size of the volume in bytes.")
    pool: str = Field(description="Pool of the volume, on the destination.")
    volume: str = Field(description="Name of the volume.")
    format: str = Field(description="Format of the volume.")
    written: bool = Field(description="Whether anything was ever written to it.")
    since: str | None = Field(description="Checkpoint since which only what changed is read.")

    @classmethod
    def of(cls, replica: ReplicaVolume) -> "ReplicaDisk":
        """Read what the ledger knows of a volume."""
        volume = replica.volume
        return cls(
            disk=replica.disk_id,
            capacity=volume.capacity,
            pool=volume.pool,
            volume=volume.name,
            format=volume.format,
            written=not replica.blank,
            since=replica.base,
        )


class TransferDetail(Record):
    """One transfer: how it stands, its disks, its checkpoint, its last runs."""

    standing: ListedTransfer = Field(description="The same as in `tradewind transfer list`.")
    request: TransferRequest | None = Field(
        description="What the stored transfer asks for; null when none is stored."
    )
    transfer: str | None = Field(
        None, description="What the ledger and names of volumes call it; null before its first run."
    )
    complete: bool = Field(
        False, description="Whether the replica equals its machine as of `standing.consistent` now."
    )
    checkpoint: str | None = Field(None, description="The checkpoint on the source.")
    disks: tuple[ReplicaDisk, ...] = Field((), description="Disks and their volumes.")
    runs: tuple[RunSummary, ...] = Field((), description="The last ten runs, the latest first.")


def print_detail(console: Console, detail: TransferDetail) -> None:
    """Print it for a person."""
    standing = detail.standing
    facts = Table(show_header=False, box=None)
    for name, value in _facts(detail):
        facts.add_row(name, Text(value))
    title = f"{standing.machine}: {standing.source} → {standing.destination}"
    parts: list[Text | Table] = [Text(title, "bold"), facts]
    if detail.disks:
        parts.append(_disk_table(detail.disks))
    if detail.runs:
        parts.append(_run_table(detail.runs))
    console.print(Group(*parts))


def _facts(detail: TransferDetail) -> Iterator[tuple[str, str]]:
    standing = detail.standing
    if standing.name is not None:
        yield "stored as", standing.name
    yield "schedule", _schedule(standing)
    if detail.request is not None:
        yield "options", ", ".join(_choices(detail.request))
    yield "equals its machine as of", _consistent(detail)
    yield "checkpoint on the source", detail.checkpoint or "none"
    yield "transfer", detail.transfer or "it has not run yet"


def _schedule(standing: ListedTransfer) -> str:
    if not standing.when:
        return "none"
    return (
        f"{standing.when}, {'paused' if standing.paused else f'next {moment(standing.next_run)}'}"
    )


def _consistent(detail: TransferDetail) -> str:
    if detail.standing.consistent is None:
        return "no point in time yet"
    said = moment(detail.standing.consistent)
    return said if detail.complete else f"{said}, before something began to write to it"


def _choices(request: TransferRequest) -> Iterator[str]:
    yield f"block {request.options}"
    asked = request.model_dump(exclude_defaults=True, mode="json")
    named = {"machine", "source", "destination", "options"}
    yield from (f"{name} {value}" for name, value in asked.items() if name not in named)


def _disk_table(disks: Sequence[ReplicaDisk]) -> Table:
    table = Table("disk", "size", "volume", "pool", "format", "reads")
    for each in disks:
        reads = "what changed" if each.since else "all of it"
        name, pool = Text(each.volume), Text(each.pool)
        table.add_row(Text(each.disk), human_size(each.capacity), name, pool, each.format, reads)
    return table


def _run_table(runs: Sequence[RunSummary]) -> Table:
    table = Table("run", "what", "how it ended", "began", "ended", "on")
    for each in runs:
        table.add_row(
            each.id, each.kind, each.state, moment(each.begun), moment(each.ended), Text(each.host)
        )
    return table


def detail_of(standing: ListedTransfer, stored: Stored | None) -> TransferDetail:
    """Return what is known before the ledger is asked."""
    return TransferDetail(standing=standing, request=stored.transfer if stored else None)
