# SPDX-License-Identifier: Apache-2.0
"""Commands for the transfer of one machine: store it, run it, look at it, take it away."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import asking
from cli.details import print_detail
from cli.ledgers import ledger_of
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
from cli.printing import console, show, show_all
from cli.schedules import Cron, Every, TimeZone, read_schedule
from cli.standings import standings, transfer_table

transfer_app = typer.Typer(help="Replicas of machines, one by one.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@transfer_app.command("create")
def create(
    machine: Machine,
    source: Source,
    destination: Destination,
    name: Annotated[
        str | None, typer.Option(help="Its name, else MACHINE-from-SOURCE-to-DESTINATION.")
    ] = None,
    cron: Cron = None,
    timezone: TimeZone = "UTC",
    every: Every = None,
    options: Options = "default",
    images: Images = False,
    storage: StoragePools = None,
    settings: Settings = None,
    track_changes: TrackChanges = True,
    bandwidth_limit: BandwidthLimit = None,
    lag_warning: LagWarning = None,
) -> None:
    """Store a transfer under a name, to be run by it or on a schedule; again to change it.

    Blocks, machine and pools are looked for first. Nothing is copied yet:
    `tradewind transfer run NAME` does that, or the schedule, with a worker on the pool.
    """
    from cli.registration import registration  # noqa: PLC0415 - Prefect takes seconds to import
    from flows.transfer import transfer as flow  # noqa: PLC0415

    request = asking.transfer_request(
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
    schedule = read_schedule(cron, timezone, every) if cron or every else None
    asking.require_places(request)
    with registration() as stored:
        wanted = name or f"{machine}-from-{source}-to-{destination}"
        given = stored.add(flow, wanted, request, schedule)
    due = "it comes due by its schedule, or" if schedule else "run it:"
    console.print(f"stored: {given}\n{due} tradewind transfer run {given}", markup=False)


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
    """Bring the replica of a machine up to date: a stored transfer, or a machine just now.

    `transfer run NAME` runs what `transfer create` has stored, `transfer run MACHINE --from
    SOURCE --to DESTINATION` a machine with the options given here. Either runs in this process.
    """
    from flows.transfer import transfer as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tasks.reports import transfer_markdown  # noqa: PLC0415

    if asking.is_stored(source, destination):
        asking.refuse_options(context, except_for=("machine", "json"))
        request = asking.stored_transfer(machine).transfer
    else:
        request = asking.transfer_request(
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
    """List the stored transfers and all replicas, those of groups too."""
    from cli.registration import registration  # noqa: PLC0415

    with registration() as stored:
        known = stored.all()
    with ledger_of(options) as ledger:
        found = standings(ledger.replicas(), known, datetime.now(UTC))
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
    """Show one transfer: its disks and volumes, its checkpoint, its last runs."""
    detail = asking.detail(machine, source, destination, options)
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
    """Remove a replica for good: volumes, checkpoint, what is known of it, what is stored.

    Machines that were deployed from it stay, and so does the machine on its source. Refused while
    a run works on it, and while a schedule would make it anew.
    """
    from flows.delete_replica import delete_replica as flow  # noqa: PLC0415 - slow
    from tasks.removal_reports import removal_markdown  # noqa: PLC0415

    doomed = asking.doomed(machine, source, destination, options, images=images)
    if not yes:
        typer.confirm(doomed.question(), abort=True, err=True)
    if doomed.has_replica:
        show(flow(doomed.request), removal_markdown, json=json)
    doomed.forget_stored()
