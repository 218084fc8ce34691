# SPDX-License-Identifier: Apache-2.0
"""`tradewind status`: which replicas it shows, and what it counts."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

import cli.main
from cli.commands import status
from cli.commands.status import Fleet
from cli.transfer_tables import list_transfers, totals
from tests.unit.cli.test_schedules import replica, scheduled
from tradewind.model.ledger import RunKind, RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Run = Callable[..., str]


def fleet() -> Fleet:
    """One is up to date, one late, of one the last run failed, and one never had a replica."""
    ended = {"run_kind": RunKind.EXECUTION, "run_ended": NOON}
    replicas = [
        replica("web", 0.25, **ended, run_state=RunState.COMPLETED),
        replica("db", 30, **ended, run_state=RunState.COMPLETED),
        replica("mail", 0.25, **ended, run_state=RunState.FAILED),
    ]
    stored = [scheduled(name).model_copy(update={"paused": True}) for name in ("db", "idle")]
    return Fleet(list_transfers(replicas, stored, NOON), (), ())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(status, "_look", lambda _options: fleet())

    def call(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tradewind", "status", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main.main()
        said = capsys.readouterr()
        return said.out if ended.value.code == 0 else f"{ended.value.code} {said.err}"

    return call


def shown(said: str) -> set[str]:
    return {name for name in ("web", "db", "mail", "idle") if f" {name} " in said}


@pytest.mark.parametrize(
    ("words", "machines"),
    [
        ((), {"web", "db", "mail"}),
        (("--late",), {"db"}),
        (("--failed",), {"mail"}),
        (("--late", "--failed"), {"db", "mail"}),
    ],
)
def test_late_and_failed_ones_are_shown_alone(
    run: Run, words: tuple[str, ...], machines: set[str]
) -> None:
    said = run(*words)
    assert shown(said) == machines
    assert "3 replicas, 1 late, 1 failed in their last run" in said
    chosen = json.loads(run(*words, "--json"))
    assert {each["machine"] for each in chosen} == machines


def test_to_watch_is_to_look_again_until_it_is_interrupted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    class Waits:
        def wait(self, seconds: float) -> None:
            looks.append(seconds)
            if len(looks) > 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(status, "Event", Waits)
    assert run("--watch").count("3 replicas, ") == 2
    assert run("--watch", "--json").startswith("2 --watch and --json")


def test_totals_of_one() -> None:
    (only,) = list_transfers([replica("web", 1)], [], NOON + timedelta(hours=1))
    assert totals([only]) == (
        "1 replica, 0 late, 0 failed in their last run,"
        " 1 without a schedule of their own that is on"
    )
