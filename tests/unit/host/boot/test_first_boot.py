# SPDX-License-Identifier: Apache-2.0
"""What a guest's journal says of the scripts of its first boot."""

import pytest

from tests.unit.host.boot.test_systemd_state import Domain, played, printing
from tradewind.host.boot import first_boot
from tradewind.host.domain import agent
from tradewind.model.scripts import FIRST_BOOT_ENDED, FirstBootScript
from tradewind.waiting import wait_for

SCRIPT = FirstBootScript(name="join", unit="tradewind-first-boot-01-join.service", time_limit=9)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (agent, first_boot):
        monkeypatch.setattr(
            module,
            "wait_for",
            lambda look, what, timeout, every: wait_for(look, what, timeout, every=0.01),
        )


@pytest.mark.parametrize(
    ("result", "status", "late"),
    [
        ("success 0", 0, False),
        ("success", 0, False),
        ("exit-code 7", 7, False),
        ("timeout TERM", 1, True),
        ("signal KILL", 1, False),
        ("oom-kill", 1, False),
    ],
)
def test_the_last_line_says_how_it_ended(result: str, status: int, late: bool) -> None:
    report = first_boot.parse(SCRIPT, f"one\n\x1b[31mtwo\n{FIRST_BOOT_ENDED} {result}\n")
    assert report is not None
    assert (report.status, report.late, report.output) == (status, late, "one\ntwo")


def test_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("begun\n", f"begun\n{FIRST_BOOT_ENDED} success 0\n"))
    (report,) = first_boot.read(Domain(), [SCRIPT])
    assert (report.status, report.output) == (0, "begun")


def test_silence_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("begun\n"))
    (report,) = first_boot.read(Domain(), [SCRIPT], patience=0.1)
    assert report.status is None
    assert not report.failed
    assert report.outcome == "not known"
