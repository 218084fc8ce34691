# SPDX-License-Identifier: Apache-2.0
"""The page of a replica: the state that its machine is in."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tradewind.model.ledger import RunSummary, Transfer, lag
from tradewind.model.record import Record
from tradewind.model.storage import ReplicaVolume
from tradewind.reports.lag import human_lag
from tradewind.reports.markdown import code, literal
from tradewind.units import human_size


class MachinePage(Record):
    """A replica as it is at a moment: its volumes, and the latest run of each kind."""

    transfer: Transfer
    volumes: tuple[ReplicaVolume, ...]
    runs: tuple[RunSummary, ...]
    now: datetime


def page_markdown(page: MachinePage) -> str:
    """Write the state of a replica."""
    known = page.transfer
    way = f"{literal(known.source)} → {literal(known.destination)}"
    return f"""# {literal(known.machine.name)}: {way}

- The replica {_point(page)}
{_runs(page.runs)}- Transfer {code(known.id)}, as of {_moment(page.now)}.

| disk | size | volume | pool | format |
|---|---|---|---|---|
{_disks(page.volumes)}
"""


def _point(page: MachinePage) -> str:
    consistent = page.transfer.consistent if page.volumes else None
    if consistent is None:
        return "equals no point in time of its machine."
    behind = human_lag(lag(consistent, page.now))
    half = (
        "" if page.transfer.synced else "; **it was being written to since, and did not end well**"
    )
    return (
        f"last equalled its machine as of {_moment(consistent)}, {behind} before this page{half}."
    )


def _runs(runs: Sequence[RunSummary]) -> str:
    return "".join(
        f"- Last {run.kind}: **{run.state}**, begun {_moment(run.begun)}"
        f"{f', ended {_moment(run.ended)}' if run.ended else ''} (run {code(run.id)}).\n"
        for run in runs
    )


def _disks(volumes: Sequence[ReplicaVolume]) -> str:
    rows = [
        f"| {literal(each.disk_id)} | {human_size(each.volume.capacity)}"
        f" | {literal(each.volume.name)} | {literal(each.volume.pool)}"
        f" | {literal(each.volume.format)} |"
        for each in volumes
    ]
    return "\n".join(rows) or "| – | | there is no volume | | |"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
