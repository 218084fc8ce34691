# SPDX-License-Identifier: Apache-2.0
"""When a schedule comes due, and what the table of all replicas shows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from rich.console import Console
from rich.table import Table

from cli.commands.schedules import schedule_table
from cli.schedule_options import read_schedule
from cli.transfer_tables import (
    ListedTransfer,
    list_transfers,
    schedule_of,
    status_table,
    transfer_table,
)
from deployments.stored import Stored
from tradewind.errors import OptionError
from tradewind.model.ledger import ReplicaState, RunKind, RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_cron_fields_have_a_time_zone() -> None:
    read = read_schedule("0 2 * * *", "Europe/Berlin", None)
    assert isinstance(read, CronSchedule)
    assert (read.cron, read.timezone) == ("0 2 * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("every", "interval"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("1d", timedelta(days=1)),
    ],
)
def test_interval(every: str, interval: timedelta) -> None:
    read = read_schedule(None, "UTC", every)
    assert isinstance(read, IntervalSchedule)
    assert read.interval == interval


@pytest.mark.parametrize(
    ("cron", "zone", "every", "said"),
    [
        (None, "UTC", None, "either --cron or --every"),
        ("0 2 * * *", "UTC", "1h", "either --cron or --every"),
        ("0 2 * *", "UTC", None, "--cron “0 2 . .” in time zone “UTC” is no schedule"),
        ("0 2 * * *", "Berlin", None, "in time zone “Berlin”"),
        ("0 0 2 * * *", "UTC", None, "has 6 fields"),
        ("0 2 * * * 2027", "UTC", None, "is no schedule"),
        ("0 0 31 2 *", "UTC", None, "never comes"),
        ("0 0 30 2 *", "UTC", None, "never comes"),
        (None, "UTC", "0m", "--every “0m” is no interval"),
        (None, "UTC", "soon", "--every “soon” is no interval"),
    ],
)
def test_what_is_no_schedule(cron: str | None, zone: str, every: str | None, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        read_schedule(cron, zone, every)


def replica(machine: str, hours: float | None, **more: Any) -> ReplicaState:
    return ReplicaState(
        machine=machine,
        machine_id=f"id-{machine}",
        source="old",
        destination="new",
        consistent=None if hours is None else NOON - timedelta(hours=hours),
        **more,
    )


def scheduled(machine: str, **more: Any) -> Stored:
    asked = {"machine": machine, "source": "old", "destination": "new", "lag_warning": 60}
    return Stored(
        id=uuid4(),
        name=machine,
        flow="transfer",
        when="every 15 min",
        paused=False,
        request={**asked, **more},
        next_run=NOON + timedelta(minutes=5),
    )


def printed(
    replicas: list[ReplicaState],
    schedules: list[Stored],
    tabulate: Callable[[Sequence[ListedTransfer]], Table] = status_table,
) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tabulate(list_transfers(replicas, schedules, NOON)))
    return capture.get().splitlines()


def test_status_of_all_replicas() -> None:
    ended = {"run_kind": RunKind.EXECUTION, "run_state": RunState.FAILED, "run_ended": NOON}
    lines = printed(
        [replica("db", 2, **ended), replica("mail", None), replica("web", 0.25)],
        [scheduled("db"), scheduled("id-web")],
    )
    db, mail, web = (next(line for line in lines if name in line) for name in ("db", "mail", "web"))
    assert "old → new" in db
    assert "2 h 00 min, late" in db
    assert "execution failed, " in db
    assert "no replica" in mail
    assert "15 min 00 s" in web
    assert "late" not in web + mail


def test_schedule_belongs_to_one_machine_between_two_places() -> None:
    mine = replica("db", 1)
    assert schedule_of(mine, [scheduled("db", source="other")]) is None
    assert schedule_of(mine, [scheduled("web")]) is None
    own = scheduled("db")
    assert schedule_of(mine, [scheduled("web"), own]) is own


def test_stored_transfers_are_listed_beside_replicas() -> None:
    idle = scheduled("idle").model_copy(update={"when": "", "next_run": None})
    paused = scheduled("web").model_copy(update={"paused": True})
    group = scheduled("nightly").model_copy(update={"flow": "replicate"})
    lines = printed([replica("db", 2), replica("web", 1)], [idle, paused, group], transfer_table)
    db, web, never = (
        next(line for line in lines if f"│ {name} " in line) for name in ("db", "web", "idle")
    )
    assert "│ –        │ db" in db
    assert "every 15 min, paused" in web
    assert "none" in never
    assert not [line for line in lines if "nightly" in line]


def test_a_schedule_is_shown_rather_than_what_has_none() -> None:
    mine = replica("db", 1)
    without = scheduled("db").model_copy(update={"when": ""})
    own = scheduled("db")
    assert schedule_of(mine, [without, own]) is own
    assert schedule_of(mine, [without]) is without
    assert [each.name for each in list_transfers([mine], [without, own], NOON)] == ["db"]


def test_schedules_of_machines_and_groups() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(schedule_table([scheduled("db")]))
    assert "every 15 min" in capture.get()
