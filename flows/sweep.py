# SPDX-License-Identifier: Apache-2.0
"""Find and remove what crashed runs left behind."""

from collections.abc import Sequence

from prefect import flow

from tasks.environment import load_options
from tasks.move.unfinished import tell_of_unfinished_moves
from tasks.operate.leftovers import (
    abandon_dead_runs,
    each_host_for_itself,
    find_leftovers,
    finish_machines,
    judge,
    name_hosts,
    remove_all,
    settle,
)
from tasks.operate.worker_images import load_endpoint
from tasks.publish import publish_sweep
from tradewind.model.report import SweepReport


@flow(flow_run_name="sweep")
def sweep(
    endpoints: Sequence[str] = (), options: str = "default", dry_run: bool = False
) -> list[SweepReport]:
    """Remove from hosts what no living run owns; run it as often as you like.

    Args:
        endpoints: Names of blocks “Tradewind Libvirt Endpoint” of hosts to look at, sources too.
            Left empty: all that are stored.
        options: Name of a block “Tradewind Provider Options” (it says where the ledger is).
        dry_run: Only say what would be removed.
    """
    chosen = load_options(options)
    reports = []
    # All of them first: a name with a typo is refused before anything is removed anywhere.
    hosts = {name: load_endpoint(name, chosen.ssh_key_path) for name in name_hosts(endpoints)}
    unfinished = tell_of_unfinished_moves(chosen.sqlite_database_file)
    with each_host_for_itself() as attempt:
        for endpoint, host in hosts.items():
            with attempt(endpoint):
                notes = () if dry_run else settle(endpoint, host, chosen.sqlite_database_file)
                found = find_leftovers(endpoint, host)
                report = judge(endpoint, found, chosen.sqlite_database_file, unfinished, notes)
                if not dry_run:
                    remove_all(host, report.dead)
                    finish_machines(host, report, chosen.sqlite_database_file)
                reports.append(publish_sweep(report, dry_run=dry_run))
        if not dry_run:
            abandon_dead_runs(chosen.sqlite_database_file)
    return reports
