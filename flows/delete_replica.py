# SPDX-License-Identifier: Apache-2.0
"""Remove a replica for good; what was deployed from it stays."""

from prefect import flow

from tasks.coming_runs import refuse_scheduled
from tasks.removal_reports import publish_removal
from tasks.removals import (
    find_transfer,
    forget_at_source,
    forget_transfer,
    removal,
    removal_report,
    remove_volumes,
)
from tasks.site import load_site
from tradewind.model.removal import RemovalReport, RemovalRequest


@flow(flow_run_name="delete-replica-{request.machine}")
def delete_replica(request: RemovalRequest) -> RemovalReport:
    """Remove the volumes, the checkpoint on the source, and what the ledger knows.

    What is interrupted is begun again and goes on; a source that is gone already is no obstacle.
    """
    site = load_site(request)
    transfer = find_transfer(site, request)
    refuse_scheduled(transfer, site.options)
    with removal(site, transfer) as run:
        volumes = remove_volumes(site, run)
        forgotten = forget_at_source(request, site, transfer, run)
        forget_transfer(site, run)
    return publish_removal(removal_report(request, transfer, volumes, forgotten))
