# SPDX-License-Identifier: Apache-2.0
"""Remove a replica for good; what was deployed from it stays."""

from prefect import flow

from tasks.environment import load_environment
from tasks.operate.coming_runs import refuse_scheduled
from tasks.operate.removals import (
    find_transfer,
    forget_at_source,
    forget_transfer,
    removal,
    removal_report,
    remove_volumes,
)
from tasks.publish import publish_removal
from tradewind.model.requests import RemovalReport, RemovalRequest


@flow(flow_run_name="delete-replica-{request.machine}")
def delete_replica(request: RemovalRequest) -> RemovalReport:
    """Remove the volumes, the checkpoint on the source, and what the ledger knows.

    What is interrupted is begun again and goes on; a source that is gone already is no obstacle.
    """
    env = load_environment(request)
    transfer = find_transfer(env, request)
    refuse_scheduled(transfer, env.options)
    with removal(env, transfer) as run:
        removed = remove_volumes(env, run)
        forgotten = forget_at_source(request, env, transfer, run)
        forget_transfer(env, run)
    return publish_removal(removal_report(request, transfer, removed, forgotten))
