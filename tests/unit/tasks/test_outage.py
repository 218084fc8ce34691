# SPDX-License-Identifier: Apache-2.0
"""The clock of an outage: what it counts, and what it leaves out."""

import time

import pytest

from tasks.move.cutover import OutageClock
from tests.unit.reports.test_deploy_reports import deployment
from tests.unit.reports.test_hostile_texts import moved
from tradewind.model.proof import BootEvidence, BootProof
from tradewind.model.report import DeployReport
from tradewind.reports.move import migrate_markdown


def proven(*, watched: float) -> DeployReport:
    proof = BootProof(
        evidence=BootEvidence.AGENT, lines=(), addresses=(), seconds=20, watched_seconds=watched
    )
    return deployment(proof=proof)


def test_what_was_watched_after_the_proof_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0, 194.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    outage = OutageClock()
    outage.begin()
    outage.passed("shutdown")
    outage.deployed(proven(watched=30))
    assert [(phase.name, phase.seconds) for phase in outage.phases] == [
        ("shutdown", 4),
        ("adapting and defining the machine", 40),
        ("boot, until it was proven", 20),
    ]


def test_the_report_says_that_it_was_watched_longer() -> None:
    report = moved().model_copy(update={"deployment": proven(watched=30)})
    assert "was watched for 30.0 s after the proof" in migrate_markdown(report)
    report = moved().model_copy(update={"deployment": proven(watched=0)})
    assert "after the proof" not in migrate_markdown(report)
