# SPDX-License-Identifier: Apache-2.0
"""One artifact for each replica, always of the same key: the state that its machine is in."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from blocks.loading import load_block
from blocks.provider_options import ProviderOptionsBlock
from tasks.transfer.progress import artifact_key
from tradewind.errors import NotFoundError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.ledger import Transfer
from tradewind.model.requests import DeployRequest, TransferRequest
from tradewind.reports.machine_page import MachinePage, page_markdown
from tradewind.reports.markdown import literal


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
