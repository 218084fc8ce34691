# SPDX-License-Identifier: Apache-2.0
"""Spread what comes due together: each name has a moment of its own near the one asked for.

A thousand runs that come due in one instant leave Prefect's database locked for minutes. A moment
is derived from the name, so it stays the same when a schedule is stored anew.
"""

import hashlib
import importlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

# Minutes after the one that a cron line says within which it may come due.
SPREAD: Final = 10
_HOUR: Final = 60
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
# The words that croniter reads as a line.
_WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def spread(schedule: CronSchedule | IntervalSchedule, name: str) -> CronSchedule | IntervalSchedule:
    """Move a schedule by what its name says.

    An interval begins anywhere within itself. A cron line comes due up to nine minutes later, and
    within the same hour: the hours and days that it names stay true.
    """
    share = _share(name)
    if isinstance(schedule, IntervalSchedule):
        offset = timedelta(seconds=int(share * schedule.interval.total_seconds()))
        return schedule.model_copy(update={"anchor_date": _EPOCH + offset})
    line = _WORDS.get(schedule.cron, schedule.cron)
    minutes = _minutes(line)
    room = min(SPREAD, *_gaps(minutes), _HOUR - max(minutes)) if minutes else 0
    later = int(share * room)
    if not later:
        return schedule
    moved = ",".join(str(minute + later) for minute in minutes)
    _, *others = line.split()
    return schedule.model_copy(update={"cron": " ".join((moved, *others))})


def _minutes(cron: str) -> list[int]:
    """List the minutes of the hour in which a cron line comes due; none where that is each one."""
    # What Prefect's server goes by. It has no types.
    croniter: Any = importlib.import_module("prefect._vendor.croniter")
    (minutes, *_), _ = croniter.croniter.expand(cron)
    return sorted(each for each in minutes if isinstance(each, int))


def _gaps(minutes: list[int]) -> list[int]:
    return [later - sooner for sooner, later in itertools.pairwise(minutes)]


def _share(name: str) -> float:
    """Turn a name into a number from 0 to below 1, evenly."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
