# SPDX-License-Identifier: Apache-2.0
"""Commands for the transfer of one machine: store it, run it, look at it, take it away."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import transfer_lookup
from cli.ledgers import beside, ledger_of
from cli.options import (
    BandwidthLimit,
    Destination,
    Images,
    Json,
    LagWarning,
    Machine,
    OptionalDestination,
    OptionalSource,
    Options,
    Settings,
    Source,
    StoragePools,
    TrackChanges,
    Word,
)
from cli.printing import console, show, show_all, tell_progress
from cli.schedule_options import Cron, Every, Exact, TimeZone, due, words_of
from cli.transfer_details import print_detail
from cli.transfer_tables import list_transfers, transfer_table
from cli.worker_note import tell_of_missing_worker
from deployments.stored_transfers import StoredTransfers
from tradewind.reports.removal import removal_markdown
from tradewind.reports.transfer import transfer_markdown

transfer_app = typer.Typer(help="Replicas of single machines.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


@transfer_app.command("create")
def create(
    machine: Machine,
    source: Source,
    destination: Destination,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the transfer. Default: MACHINE-from-SOURCE-to-DESTINATION."),
    ] = None,
    cron: Cron = None,
    timezone: TimeZone = "UTC",
    every: Every = None,
    exact: Exact = False,
    options: Options = "default",
    images: Images = False,
    storage: StoragePools = None,
    settings: Settings = None,
    track_changes: TrackChanges = True,
    bandwidth_limit: BandwidthLimit = None,
    lag_warning: LagWarning = None,
) -> None:
    """Save a named transfer, to run on demand or on a schedule. Re-run to update it.

    Blocks, machine and pools are looked for first. Nothing is copied yet:
    `tradewind transfer run NAME` does that, or the schedule, with a worker on the pool.
    """
    from deployments.registration import Registration  # noqa: PLC0415
    from deployments.requirements import require_places  # noqa: PLC0415 - Prefect takes seconds to import
    from flows.transfer import transfer as flow  # noqa: PLC0415

    request = transfer_lookup.transfer_request(
        machine=machine,
        source=source,
        destination=destination,
        options=options,
        images=images,
        storage=storage,
        settings=settings,
        track_changes=track_changes,
        bandwidth_limit=bandwidth_limit,
        lag_warning=lag_warning,
    )
    wanted = name or transfer_lookup.default_name(request)
    schedule = due(wanted, cron, timezone, every, exact=exact)
    require_places([request])
    given = Registration().add(flow, wanted, request, schedule)
    when = f"due {words_of(schedule, cron)}\nor now:" if schedule else "run it:"
    console.print(
        f"stored: {given}\n{when} tradewind transfer run {given}", markup=False, soft_wrap=True
    )
    if schedule:
        tell_of_missing_worker()


@transfer_app.command("import")
def import_all(
    file: Annotated[
        Path,
        typer.Argument(help="CSV file; its first line names columns such as machine,from,to."),
    ],
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    cron: Cron = None,
    timezone: TimeZone = "UTC",
    every: Every = None,
    exact: Exact = False,
    options: Options = "default",
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Save them without connecting to their hosts.")
    ] = False,
) -> None:
    """Save the transfers of a file, one a line. Nothing is saved while a line is wrong.

    Columns are called as the options of `transfer create`: machine, name, from, to, options, cron,
    timezone, every, exact, images, storage, set, track-changes, bandwidth-limit, lag-warning.
    Several values of storage and set have “;” between them. What a line leaves empty, the options
    here say for all. Import it again to update what is saved.
    """
    from cli.transfer_file import read_transfers  # noqa: PLC0415 - Prefect takes seconds to import
    from deployments.registration import NamedRequest, Registration  # noqa: PLC0415
    from deployments.requirements import require_places  # noqa: PLC0415
    from flows.transfer import transfer as flow  # noqa: PLC0415

    said = {"from": source, "to": destination, "cron": cron, "every": every}
    for_all = {column: word for column, word in said.items() if word}
    for_all |= {"timezone": timezone, "options": options} | ({"exact": "yes"} if exact else {})
    found = read_transfers(file, for_all)
    if not no_check:
        require_places([each.request for each in found])
    wanted = [NamedRequest(each.name, each.request, each.schedule) for each in found]
    with tell_progress(len(wanted)) as tell:
        for given in Registration().add_all(flow, wanted):
            tell(given)
    console.print(f"stored: {len(wanted)} transfers; see tradewind transfer list", markup=False)
    if any(each.schedule for each in wanted):
        tell_of_missing_worker()


@transfer_app.command("run")
def run(
    context: typer.Context,
    machine: Word,
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    options: Options = "default",
    images: Images = False,
    storage: StoragePools = None,
    settings: Settings = None,
    track_changes: TrackChanges = True,
    bandwidth_limit: BandwidthLimit = None,
    json: Json = False,
) -> None:
    """Update a replica: of a saved transfer, or of a machine.

    `transfer run NAME` runs what `transfer create` has stored, `transfer run MACHINE --from
    SOURCE --to DESTINATION` a machine with the options given here. Either runs in this process.
    """
    from flows.transfer import transfer as flow  # noqa: PLC0415 - Prefect takes seconds to import

    if transfer_lookup.is_stored(source, destination):
        transfer_lookup.refuse_options(context, except_for=("machine", "json"))
        request = transfer_lookup.stored_transfer(machine).transfer
    else:
        request = transfer_lookup.transfer_request(
            machine=machine,
            source=source,
            destination=destination,
            options=options,
            images=images,
            storage=storage,
            settings=settings,
            track_changes=track_changes,
            bandwidth_limit=bandwidth_limit,
        )
    show(flow(request), transfer_markdown, json=json)


@transfer_app.command("list")
def list_all(options: Options = "default", json: Json = False) -> None:
    """List saved transfers and all replicas, including those of groups."""
    with beside(StoredTransfers().all) as stored, ledger_of(options) as ledger:
        replicas = ledger.replicas()
        found = list_transfers(replicas, stored.result(), datetime.now(UTC))
    none = "no transfer is stored, and there is no replica: tradewind transfer create"
    show_all(found, transfer_table, json=json, none=none)


@transfer_app.command("show")
def show_one(
    machine: Word,
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    options: Options = "default",
    json: Json = False,
) -> None:
    """Show a transfer: disks, volumes, checkpoint, last runs."""
    detail = transfer_lookup.detail(machine, source, destination, options)
    if json:
        typer.echo(detail.model_dump_json(indent=2))
    else:
        print_detail(console, detail)


@transfer_app.command("delete")
def delete(
    machine: Word,
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    options: Options = "default",
    images: Images = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete a replica and its saved transfer.

    Its volumes, its checkpoint and its record go. Machines that were deployed from it stay, and so
    does the machine on its source. Refused while a run works on it, and while a schedule would make
    it anew.
    """
    from flows.delete_replica import delete_replica as flow  # noqa: PLC0415 - slow

    deletion = transfer_lookup.deletion(machine, source, destination, options, images=images)
    if not yes:
        typer.confirm(deletion.question(), abort=True, err=True)
    if deletion.has_replica:
        show(flow(deletion.request), removal_markdown, json=json)
    deletion.forget_stored()
