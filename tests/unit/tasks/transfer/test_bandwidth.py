# SPDX-License-Identifier: Apache-2.0
"""A source's bandwidth, shared by the executions that live."""

from pathlib import Path

import pytest

from tasks.transfer.bandwidth import BandwidthLimits, SourceShare, bandwidth
from tradewind.errors import ConnectionFailedError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.ledger import RunKind, RunState
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import Run


def begin(ledger: Ledger, name: str, source: str = "old-host") -> Run:
    machine = VirtualMachine(id=name, name=name, vcpus=1, memory=1 << 30, disks=())
    return ledger.begin(ledger.note_transfer(source, "kvm1", machine), RunKind.EXECUTION)


def test_executions_of_one_source_share_its_limit(tmp_path: Path) -> None:
    with open_ledger(str(tmp_path / "ledger.sqlite")) as ledger:
        share = SourceShare(ledger, "old-host", 900)
        assert share.now() == 900
        runs = [begin(ledger, name) for name in ("one", "two", "three")]
        begin(ledger, "four", source="another-host")
        assert share.now() == 300
        ledger.finish(runs[0], RunState.COMPLETED)
        assert share.now() == 450


def test_a_busy_ledger_leaves_the_share_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: str) -> int:
        raise ConnectionFailedError("locked", "wait")

    with open_ledger(str(tmp_path / "ledger.sqlite")) as ledger:
        share = SourceShare(ledger, "old-host", 900)
        begin(ledger, "one")
        begin(ledger, "two")
        assert share.now() == 450
        monkeypatch.setattr(ledger, "executions_from", busy)
        assert share.now() == 450


@pytest.mark.parametrize(
    ("transfer", "source", "megabits"),
    [(None, None, None), (80, None, 80), (None, 160, 160), (80, 160, 80), (160, 80, 80)],
)
def test_the_lower_limit_counts(
    tmp_path: Path, transfer: int | None, source: int | None, megabits: int | None
) -> None:
    limits = BandwidthLimits(
        transfer=transfer,
        source=source,
        source_name="old-host",
        ledger_place=str(tmp_path / "ledger.sqlite"),
    )
    with bandwidth(limits) as found:
        # A step is a twentieth of a second's bytes.
        expected = 4 << 20 if megabits is None else megabits * 125_000 // 20
        assert found.step() == expected
