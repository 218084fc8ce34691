# SPDX-License-Identifier: Apache-2.0
"""Commands that look at many machines at once."""

from datetime import UTC, datetime
from typing import Any

from cli.ledgers import ledger_of
from cli.options import (
    Destination,
    Images,
    Json,
    LagWarning,
    Limit,
    Names,
    Options,
    Patterns,
    Source,
    Tags,
)
from cli.parsing import source_kind
from cli.printing import console, moment, show, show_all
from cli.transfer_tables import standings, status_table, tell_of_outages
from cli.worker_note import tell, tell_of_missing_worker
from deployments.advice import outgrown_sqlite
from deployments.stored_options import stored_options
from deployments.stored_transfers import StoredTransfers
from tradewind.model.groups import GroupReport, GroupRequest, MachineSelection
from tradewind.reports.groups import group_markdown


def replicate(
    source: Source,
    destination: Destination,
    names: Names = None,
    patterns: Patterns = None,
    tags: Tags = None,
    limit: Limit = 2,
    options: Options = "default",
    images: Images = False,
    lag_warning: LagWarning = None,
    json: Json = False,
) -> None:
    """Update the replicas of a group of machines.

    Each machine gets a flow run of its own.
    """
    from flows.replicate import replicate as flow  # noqa: PLC0415 - Prefect takes seconds
    from tasks.groups.members import MachinesFailedError  # noqa: PLC0415

    request = group_request(
        source=source,
        destination=destination,
        names=names,
        patterns=patterns,
        tags=tags,
        limit=limit,
        options=options,
        images=images,
        lag_warning=lag_warning,
    )
    try:
        report = flow(request)
    except MachinesFailedError as error:
        show(error.report, group_markdown, json=json)
        raise
    assert isinstance(report, GroupReport)  # noqa: S101 - a state is turned into its result
    show(report, group_markdown, json=json)


def group_request(
    *,
    names: list[str] | None,
    patterns: list[str] | None,
    tags: list[str] | None,
    images: bool,
    **asked: Any,
) -> GroupRequest:
    """Ask for a group as the options of a command say."""
    return GroupRequest(
        machines=MachineSelection(
            names=tuple(names or ()), patterns=tuple(patterns or ()), tags=tuple(tags or ())
        ),
        source_kind=source_kind(images=images),
        **asked,
    )


def status(options: Options = "default", json: Json = False) -> None:
    """Show each replica's lag and next scheduled run."""
    from tradewind.ledger import kept  # noqa: PLC0415

    with ledger_of(options) as ledger:
        replicas, outages = ledger.replicas(), ledger.outages.open()
        waiting = kept.all_kept(ledger)
    found = standings(replicas, StoredTransfers().all(), datetime.now(UTC), outages)
    if not json:
        tell_of_outages(outages)
    there = [each for each in found if each.machine_id is not None]
    show_all(there, status_table, json=json, none="no machine was ever transferred")
    for each in () if json else waiting:
        console.print(
            f"{each.domain} on {each.destination} waits for a person since {moment(each.since)}:"
            f" {each.why} (tradewind kept list)",
            style="red",
            markup=False,
        )
    coming = [each for each in found if each.when and not each.paused]
    if coming and not json:
        tell_of_missing_worker()
        tell(outgrown_sqlite(len(coming), stored_options(options).sqlite_database_file))
