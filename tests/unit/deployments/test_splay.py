# SPDX-License-Identifier: Apache-2.0
"""What comes due together is spread, and stays within what was asked for."""

from collections import Counter
from datetime import timedelta

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from deployments.splay import SPREAD, spread

NAMES = [f"web{number:04}" for number in range(300)]


def lines(cron: str) -> Counter[str]:
    """Count what a cron line becomes for three hundred names."""
    found: Counter[str] = Counter()
    asked = CronSchedule(cron=cron, timezone="UTC")
    for name in NAMES:
        schedule = spread(asked, name)
        assert isinstance(schedule, CronSchedule)
        assert schedule.timezone == "UTC"
        found[schedule.cron] += 1
    return found


def test_many_of_one_minute_come_due_in_ten() -> None:
    found = lines("0 2 * * *")
    assert set(found) == {f"{minute} 2 * * *" for minute in range(SPREAD)}
    assert max(found.values()) < 2 * len(NAMES) / SPREAD


@pytest.mark.parametrize(
    ("cron", "becomes"),
    [
        ("55 2 * * *", {f"{minute} 2 * * *" for minute in range(55, 60)}),
        ("59 2 * * *", {"59 2 * * *"}),
        ("* * * * *", {"* * * * *"}),
        ("58-59 * * * *", {"58-59 * * * *"}),
        ("0,30 1-5 * * mon-fri", {f"{m},{m + 30} 1-5 * * mon-fri" for m in range(1, 10)}),
        ("*/15 * * * *", {f"{m},{m + 15},{m + 30},{m + 45} * * * *" for m in range(1, 10)}),
        ("0 2 * * sat#2", {f"{minute} 2 * * sat#2" for minute in range(10)}),
        ("@daily", {f"{minute} 0 * * *" for minute in range(1, 10)}),
    ],
)
def test_hour_and_day_stay_as_they_were_said(cron: str, becomes: set[str]) -> None:
    assert set(lines(cron)) - {cron} == becomes - {cron}


def test_intervals_begin_anywhere_within_themselves() -> None:
    hourly = IntervalSchedule(interval=timedelta(hours=1))
    moved = [spread(hourly, name) for name in NAMES]
    anchors = [each.anchor_date for each in moved if isinstance(each, IntervalSchedule)]
    assert {each.interval for each in moved if isinstance(each, IntervalSchedule)} == {
        hourly.interval
    }
    assert len(set(anchors)) > len(NAMES) / 2
    assert max(anchors) - min(anchors) < hourly.interval


def test_a_name_keeps_its_moment() -> None:
    nightly = CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    assert spread(nightly, "web01") == spread(nightly, "web01")
