# SPDX-License-Identifier: Apache-2.0
"""When something comes due: what --cron, --timezone, --every and --exact say."""

import functools
import importlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tradewind.errors import OptionError

if TYPE_CHECKING:
    from deployments.registration import Schedule

Cron = Annotated[str | None, typer.Option(help='Five fields, for example "0 2 * * *".')]
TimeZone = Annotated[str, typer.Option(help="Time zone of --cron, for example Europe/Berlin.")]
Every = Annotated[str | None, typer.Option(help="Interval instead of --cron: 30s, 15m, 4h, 1d.")]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Come due in the very minute of --cron. Default: up to 10 min later, by the name.",
    ),
]

_FIELDS = 5
_FIVE_FIELDS = "five fields (minute hour day month weekday), and a zone such as Europe/Berlin"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def due(
    name: str, cron: str | None, timezone: str, every: str | None, *, exact: bool
) -> "Schedule | None":
    """Read when what has this name comes due; None when nothing says so."""
    from deployments.splay import spread  # noqa: PLC0415 - Prefect takes seconds to import

    if not cron and not every:
        return None
    schedule = read_schedule(cron or None, timezone, every or None)
    return schedule if exact else spread(schedule, name)


def words_of(schedule: "Schedule", cron: str | None) -> str:
    """Say when a schedule comes due, and what was made of a cron line."""
    from deployments.stored_schedules import words  # noqa: PLC0415

    said = words(schedule.model_dump(mode="json"))
    if cron is None or cron in said:
        return said
    return f"{said}: “{cron}”, up to 10 min later by its name (--exact: in that minute)"


# To read one takes milliseconds: Prefect (3.8) lists all time zones for it.
@functools.cache
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
