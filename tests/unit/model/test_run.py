# SPDX-License-Identifier: Apache-2.0
"""Runs, their labels, and how far a stream is."""

import platform
import re
from datetime import UTC, datetime, timedelta

import pytest

from tradewind.host.leftovers import run_of
from tradewind.model.progress import DiskProgress
from tradewind.model.run import LabelState, Purpose, Run, new_run_id


def test_run_ids_are_what_the_sweep_knows() -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    for run in ids:
        assert re.fullmatch("[0-9a-f]{12}", run)
        assert run_of(f"tradewind-{run}-transfer") == run


def test_label_says_who_made_it() -> None:
    run = Run(id="0123456789ab", transfer="cafe0001", begun=datetime.now(UTC))
    label = run.label(Purpose.MORPHING)
    assert (label.run, label.transfer, label.purpose) == (run.id, run.transfer, Purpose.MORPHING)
    assert label.controller == platform.node()
    assert label.state is LabelState.TEMPORARY
    assert timedelta() <= datetime.now(UTC) - label.created < timedelta(minutes=1)
    assert run.label(Purpose.MACHINE, LabelState.FINISHED).state is LabelState.FINISHED


@pytest.mark.parametrize(
    ("done", "seconds", "rate", "eta"),
    [(0, 0.0, 0.0, None), (0, 2.0, 0.0, None), (50, 2.0, 25.0, 6.0), (200, 4.0, 50.0, 0.0)],
)
def test_rate_and_what_is_left(done: int, seconds: float, rate: float, eta: float | None) -> None:
    progress = DiskProgress(disk_id="sda", total=200, done=done, sent=0, seconds=seconds)
    assert (progress.rate, progress.eta) == (rate, eta)
