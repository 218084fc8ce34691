# SPDX-License-Identifier: Apache-2.0
"""A rehearsal on the lab: a clone of the demo machine boots where nothing leaves, and is gone."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import settings, site
from lab.records import Lab
from tests.live import durations, hosts
from tests.live.tradewind_command import Tradewind
from tradewind.model.proof import BootEvidence
from tradewind.model.report import DeployReport
from tradewind.units import human_duration

# A worker, every step and a boot: five minutes and more where the CPU is emulated.
pytestmark = [pytest.mark.live, pytest.mark.slow]


def rows() -> dict[str, list[Any]]:
    with sqlite3.connect(settings.ledger_file) as ledger:
        return {
            table: sorted(ledger.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            for table in ("transfer", "disk")
        }


def networks(the_lab: Lab) -> list[str]:
    listed = lab.run(the_lab.destination, ["virsh", "net-list", "--all", "--name"]).stdout
    return sorted(listed.split())


def test_a_rehearsal_leaves_nothing_but_its_evidence(
    tradewind: Tradewind, the_lab: Lab, demo: str
) -> None:
    tradewind.transfer(demo)
    known, before, nets = rows(), hosts.traces(the_lab.destination), networks(the_lab)
    words = ("rehearse", demo, "--from", site.SOURCE, "--to", site.DESTINATION)
    ended = tradewind.run(*words, "--subnet", "198.18.231.0/24", "--json")
    assert ended.status == 0, ended.stderr[-4000:]
    report = DeployReport.model_validate_json(ended.stdout)
    assert report.proof is not None
    print(f"\nrehearsed in {human_duration(report.seconds)}: {report.proof.systemd}")
    assert report.proof.evidence is BootEvidence.AGENT
    assert report.proof.addresses[0].startswith("198.18.231.")
    assert report.proof.systemd.state in {"running", "degraded"}
    assert Path(report.proof.kept.screenshot).read_bytes().startswith(b"\x89PNG")
    assert "login" in report.proof.kept.console
    assert rows() == known
    assert hosts.traces(the_lab.destination) == before
    assert networks(the_lab) == nets
    (shown,) = durations.artifacts(f"rehearse-{demo}")[:1]
    assert "data:image/png;base64," in shown["data"]
