# SPDX-License-Identifier: Apache-2.0
"""Commands for replicas that are brought up to date on a schedule."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import completion
from cli.commands.groups import group_request
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
from cli.printing import moment, show_all
from cli.schedule_options import Cron, Every, Exact, TimeZone, due, words_of
from cli.worker_note import tell_of_missing_worker
from deployments.stored import Stored
from deployments.stored_transfers import StoredTransfers
from tradewind.errors import OptionError

schedule_app = typer.Typer(help="Scheduled transfers of machines and groups.", no_args_is_help=True)
console = Console()

Name = Annotated[
    str,
    typer.Argument(
        help="Name of the schedule; see `schedule list`.", autocompletion=completion.transfers
    ),
]


@schedule_app.command("add-group")
def add_group(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    source: Source,
    destination: Destination,
    names: Names = None,
    patterns: Patterns = None,
    tags: Tags = None,
    limit: Limit = 2,
    cron: Cron = None,
    timezone: TimeZone = "UTC",
    every: Every = None,
    exact: Exact = False,
    options: Options = "default",
    images: Images = False,
    lag_warning: LagWarning = None,
) -> None:
    """Schedule the replication of a group of machines."""
    from deployments.registration import Registration  # noqa: PLC0415 - Prefect takes seconds to import
    from flows.replicate import replicate  # noqa: PLC0415

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
    schedule = due(name, cron, timezone, every, exact=exact)
    if schedule is None:
        raise OptionError("say when: either --cron or --every", 'for example --cron "0 2 * * *"')
    given = Registration().add(replicate, name, request, schedule)
    console.print(f"scheduled: {given}, {words_of(schedule, cron)}", markup=False, soft_wrap=True)
    tell_of_missing_worker()


@schedule_app.command("list")
def list_all(json: Json = False) -> None:
    """List schedules and their next runs."""
    found = StoredTransfers().schedules()
    show_all(found, schedule_table, json=json, none="nothing is on a schedule")


def schedule_table(found: Sequence[Stored]) -> Table:
    """Lay out schedules."""
    table = Table("schedule", "of", "when", "next run")
    for each in found:
        what = "machine" if each.is_transfer else "group"
        due = "paused" if each.paused else moment(each.next_run)
        table.add_row(Text(each.name), what, each.when, due)
    return table


@schedule_app.command("remove")
def remove(name: Name) -> None:
    """Remove a schedule. Replicas and saved transfers stay."""
    StoredTransfers().remove_schedule(name)
    console.print(f"removed: {name}", markup=False)


@schedule_app.command("pause")
def pause(name: Name) -> None:
    """Pause a schedule."""
    StoredTransfers().pause(name)
    console.print(f"paused: {name}", markup=False)


@schedule_app.command("resume")
def resume(name: Name) -> None:
    """Resume a paused schedule."""
    StoredTransfers().resume(name)
    console.print(f"resumed: {name}", markup=False)
