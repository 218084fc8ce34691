# SPDX-License-Identifier: Apache-2.0
"""Find and remove what crashed runs left behind."""

from prefect import flow

from tasks.images import load_endpoint
from tasks.leftovers import abandon_dead_runs, find_leftovers, judge, remove_all
from tasks.reports import publish_sweep
from tasks.site import load_options
from tradewind.model.report import SweepReport


@flow(flow_run_name="sweep")
def sweep(
    endpoints: list[str], options: str = "default", dry_run: bool = False
) -> list[SweepReport]:
    """Remove from hosts what no living run owns; run it as often as you like.

    Args:
        endpoints: Names of the libvirt endpoint blocks to look at, sources too.
        options: Name of the provider options block (it says where the ledger is).
        dry_run: Only say what would be removed.
    """
    chosen = load_options(options)
    reports = []
    # All of them first: a name with a typo is refused before anything is removed anywhere.
    hosts = {name: load_endpoint(name, chosen.ssh_key_path) for name in endpoints}
    for endpoint, host in hosts.items():
        found = find_leftovers(endpoint, host)
        report = judge(endpoint, found, chosen.sqlite_database_file)
        remove_all(host, () if dry_run else report.dead)
        reports.append(publish_sweep(report, dry_run=dry_run))
    if not dry_run:
        abandon_dead_runs(chosen.sqlite_database_file)
    return reports
