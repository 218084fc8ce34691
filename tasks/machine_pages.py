# SPDX-License-Identifier: Apache-2.0
"""One artifact for each replica, always of the same key: the state that its machine is in."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from blocks.loading import load_block
from blocks.provider_options import ProviderOptionsBlock
from tasks.lag import human_lag
from tasks.markdown import code, literal
from tasks.progress import artifact_key
from tradewind.errors import NotFoundError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.ledger import Transfer
from tradewind.model.record import Record
from tradewind.model.replica import PastRun, lag
from tradewind.model.requests import TransferRequest
from tradewind.model.storage import ReplicaVolume
from tradewind.units import human_size


class MachinePage(Record):
    """A replica as it is at a moment: its volumes, and the latest run of each kind."""

    transfer: Transfer
    volumes: tuple[ReplicaVolume, ...]
    runs: tuple[PastRun, ...]
    now: datetime


def publish_page(request: TransferRequest | DeployRequest, flow_run: UUID) -> None:
    """Say where Prefect's UI lists artifacts how the replica is; nothing while there is none."""
    options = load_block(ProviderOptionsBlock, request.options).options()
    place = options.with_overrides(request.overrides).sqlite_database_file
    # A machine that was not found on its source is not in the ledger either.
    with suppress(NotFoundError), open_ledger(place) as ledger:
        _publish(read_page(ledger, request), flow_run)


def read_page(ledger: Ledger, request: TransferRequest | DeployRequest) -> MachinePage:
    """Read from the ledger what is to be shown; NotFoundError without a replica."""
    known = ledger.find_transfer(request.source, request.destination, request.machine)
    return MachinePage(
        transfer=known,
        volumes=tuple(ledger.volumes(known.id)),
        runs=tuple(ledger.latest_runs(known.id)),
        now=datetime.now(UTC),
    )


def page_key(transfer: Transfer) -> str:
    """Make the key under which the UI keeps all versions of a page."""
    ends = (transfer.source, "to", transfer.destination)
    return artifact_key("machine", transfer.machine.name, "from", *ends)


def _publish(page: MachinePage, flow_run: UUID) -> None:
    known = page.transfer
    artifact = ArtifactCreate(
        key=page_key(known),
        type="markdown",
        description=f"{literal(known.machine.name)} and its replica on"
        f" {literal(known.destination)}",
        data=page_markdown(page),
        flow_run_id=flow_run,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


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


def _runs(runs: Sequence[PastRun]) -> str:
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
