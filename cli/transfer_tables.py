# SPDX-License-Identifier: Apache-2.0
"""How stored transfers and their replicas stand, each a line of a table."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import Field
from rich.table import Table
from rich.text import Text

from cli.printing import console, moment
from deployments.stored import Stored
from tradewind.model.ledger import ReplicaState, RunState, TransferState, is_late, lag
from tradewind.model.outage import OpenOutage
from tradewind.reports.lag import human_lag


class ListedTransfer(TransferState):
    """A transfer: what is stored of it, how current its replica is, how its last run went."""

    machine_id: str | None = Field(None, description="Its id, once a transfer has run.")
    name: str | None = Field(None, description="The stored transfer's name; null without one.")
    when: str = Field("", description="Its schedule; empty without one.")
    paused: bool = Field(False, description="Whether its schedule is paused.")
    next_run: datetime | None = Field(None, description="When it comes due next.")
    lag_seconds: float | None = Field(
        None, description="Seconds since the point in time that the replica equals."
    )
    late: bool = Field(False, description="Whether that is more than its lag warning accepts.")
    outage: OpenOutage | None = Field(
        None, description="The outage of a move that has not ended; null without one."
    )


def list_transfers(
    replicas: Sequence[ReplicaState],
    stored: Sequence[Stored],
    now: datetime,
    outages: Sequence[OpenOutage] = (),
) -> list[ListedTransfer]:
    """Put the ledger's replicas and what Prefect has stored together; replicas first."""
    own: dict[tuple[object, ...], list[Stored]] = {}
    for each in stored:
        own.setdefault(each.place(), []).append(each)
    away = {(each.source, each.destination, each.machine_id): each for each in outages}
    found = []
    for replica in replicas:
        near = [each for place in replica.places() for each in own.get(place, ())]
        known = _of_replica(replica, schedule_of(replica, near), now, away.get(replica.place))
        found.append(known)
    return [*found, *_never_run(replicas, stored)]


def schedule_of(replica: ReplicaState, stored: Sequence[Stored]) -> Stored | None:
    """Find what is stored for this machine itself, rather with a schedule than without."""
    own = [each for each in stored if each.is_of(replica)]
    return max(own, key=lambda each: bool(each.when), default=None)


def _of_replica(
    replica: ReplicaState, own: Stored | None, now: datetime, outage: OpenOutage | None
) -> ListedTransfer:
    behind = lag(replica.consistent, now)
    late = is_late(behind, own.request.get("lag_warning") if own else None)
    known = {
        **replica.model_dump(),
        "lag_seconds": behind,
        "late": late,
        "outage": outage,
    }
    return ListedTransfer.model_validate({**known, **_of_stored(own)})


def _never_run(
    replicas: Sequence[ReplicaState], stored: Sequence[Stored]
) -> Iterator[ListedTransfer]:
    ran = {place for replica in replicas for place in replica.places()}
    for each in stored:
        if each.is_transfer and each.place() not in ran:
            asked = {key: each.request[key] for key in ("machine", "source", "destination")}
            yield ListedTransfer.model_validate({**asked, **_of_stored(each)})


def _of_stored(own: Stored | None) -> dict[str, object]:
    return own.model_dump(include={"name", "when", "paused", "next_run"}) if own else {}


def tell_of_outages(found: Sequence[OpenOutage]) -> None:
    """Say first which machines are away, and what can be done where nobody works on it."""
    for each in found:
        console.print(Text(each.sentence, "bold red" if each.needs_a_decision else "yellow"))


def status_table(found: Sequence[ListedTransfer]) -> Table:
    """Lay out all replicas; a lag that is past what its schedule accepts is red."""
    table = Table("machine", "replica", "equals it as of", "behind", "last run", "next run")
    for each in found:
        table.add_row(
            Text(each.machine),  # a name may contain what means something to rich
            Text(f"{each.source} → {each.destination}"),
            moment(each.consistent),
            _behind(each),
            last_run(each),
            moment(each.next_run),
        )
    return table


def has_failed(each: ListedTransfer) -> bool:
    """Whether the last run on a replica ended badly, or its process died."""
    return each.run_state in {RunState.FAILED, RunState.ABANDONED}


def totals(found: Sequence[ListedTransfer]) -> str:
    """Count replicas in a line."""
    counted = {
        "late": sum(each.late for each in found),
        "failed in their last run": sum(map(has_failed, found)),
        "without a schedule of their own that is on": sum(
            not each.when or each.paused for each in found
        ),
    }
    replicas = "1 replica" if len(found) == 1 else f"{len(found)} replicas"
    return ", ".join((replicas, *(f"{count} {what}" for what, count in counted.items())))


def transfer_table(found: Sequence[ListedTransfer]) -> Table:
    """Lay out transfers: what is stored, and what there is a replica of."""
    table = Table("transfer", "machine", "from → to", "schedule", "replica", "last run", "next run")
    for each in found:
        table.add_row(
            Text(each.name or "–"),
            Text(each.machine),
            Text(f"{each.source} → {each.destination}"),
            Text(f"{each.when}{', paused' if each.paused and each.when else ''}" or "–"),
            moment(each.consistent) if each.consistent else "none",
            last_run(each),
            moment(each.next_run),
        )
    return table


def _behind(each: ListedTransfer) -> Text:

    said = human_lag(each.lag_seconds)
    return Text(f"{said}, late", "red") if each.late else Text(said)


def last_run(each: ListedTransfer) -> str:
    """Return how the last run ended, and when."""
    if each.run_kind is None or each.run_state is None:
        return "–"
    ended = f", {moment(each.run_ended)}" if each.run_ended else ""
    return f"{each.run_kind} {each.run_state}{ended}"
