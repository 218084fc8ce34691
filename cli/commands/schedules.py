# SPDX-License-Identifier: Apache-2.0
"""Commands for replicas that are brought up to date on a schedule."""

import importlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
from cli.worker_note import tell_of_missing_worker
from deployments.stored import Stored
from tradewind.errors import OptionError

if TYPE_CHECKING:
    from deployments.stored_transfers import Schedule

schedule_app = typer.Typer(help="Scheduled transfers of machines and groups.", no_args_is_help=True)
console = Console()

Name = Annotated[str, typer.Argument(help="Name of the schedule; see `schedule list`.")]
Cron = Annotated[str | None, typer.Option(help='Five fields, for example "0 2 * * *".')]
TimeZone = Annotated[str, typer.Option(help="Time zone of --cron, for example Europe/Berlin.")]
Every = Annotated[str | None, typer.Option(help="Interval instead of --cron: 30s, 15m, 4h, 1d.")]

_FIELDS = 5
_FIVE_FIELDS = "five fields (minute hour day month weekday), and a zone such as Europe/Berlin"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


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
    options: Options = "default",
    images: Images = False,
    lag_warning: LagWarning = None,
) -> None:
    """Schedule the replication of a group of machines."""
    from deployments.stored_transfers import registration  # noqa: PLC0415 - Prefect takes seconds to import
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
    schedule = read_schedule(cron, timezone, every)
    with registration() as schedules:
        console.print(
            f"scheduled: {schedules.add(replicate, name, request, schedule)}", markup=False
        )
    tell_of_missing_worker()


@schedule_app.command("list")
def list_all(json: Json = False) -> None:
    """List schedules and their next runs."""
    from deployments.stored_transfers import registration  # noqa: PLC0415

    with registration() as stored:
        found = stored.schedules()
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
    from deployments.stored_transfers import registration  # noqa: PLC0415

    with registration() as schedules:
        schedules.remove_schedule(name)
    console.print(f"removed: {name}", markup=False)


@schedule_app.command("pause")
def pause(name: Name) -> None:
    """Pause a schedule."""
    from deployments.stored_transfers import registration  # noqa: PLC0415

    with registration() as schedules:
        schedules.pause(name)
    console.print(f"paused: {name}", markup=False)


@schedule_app.command("resume")
def resume(name: Name) -> None:
    """Resume a paused schedule."""
    from deployments.stored_transfers import registration  # noqa: PLC0415

    with registration() as schedules:
        schedules.resume(name)
    console.print(f"resumed: {name}", markup=False)


def read_schedule(cron: str | None, timezone: str, every: str | None) -> "Schedule":
    """Read when: cron fields with a time zone, or an interval; OptionError names what is wrong."""
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule  # noqa: PLC0415

    if (cron is None) == (every is None):
        raise OptionError("say when: either --cron or --every", 'for example --cron "0 2 * * *"')
    if every is not None:
        return IntervalSchedule(interval=_interval(every))
    try:
        schedule = CronSchedule(cron=cron or "", timezone=timezone)
    except ValueError as error:
        raise OptionError(
            f"--cron “{cron}” in time zone “{timezone}” is no schedule", _FIVE_FIELDS
        ) from error
    _require_that_it_comes(schedule.cron)
    return schedule


def _require_that_it_comes(cron: str) -> None:
    """Refuse seconds, which croniter reads from a sixth field, and days that never come."""
    # What Prefect's server goes by. It has no types.
    croniter: Any = importlib.import_module("prefect._vendor.croniter")
    if not cron.startswith("@") and len(cron.split()) != _FIELDS:
        raise OptionError(f"--cron “{cron}” has {len(cron.split())} fields", _FIVE_FIELDS)
    try:
        croniter.croniter(cron, datetime.now(UTC)).get_next()
    except croniter.CroniterBadDateError:
        raise OptionError(
            f"--cron “{cron}” never comes", "see its day and month: the 31st of February, say"
        ) from None


def _interval(every: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d*)([smhd])", every)
    if found is None:
        raise OptionError(f"--every “{every}” is no interval", "for example 30s, 15m, 4h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
