# SPDX-License-Identifier: Apache-2.0
"""The matrix of faults: which cells there are, in which order, and what is told of them."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.live.faults import book, matrix, page, tiny
from tests.live.faults.courses import COURSES
from tests.live.faults.faults import FAULTS
from tests.live.faults.records import Cell, Fate, Moment, Outcome, SeenStep, Step, Stop
from tests.live.faults.world import Host
from tradewind.units import MiB

QUIET = Host((), (), (), (), (), {})


def seen(name: str, *guests: str, seconds: float = 0.1) -> SeenStep:
    return SeenStep(step=Step(flow="transfer", name=name), seconds=seconds, guests=guests)


VICTIM, WORKER = "victim-a", "tradewind-0123456789ab-transfer"
RUN = [
    seen("load", VICTIM),
    seen("boot", VICTIM, seconds=20),
    seen("stream", VICTIM, WORKER, seconds=2),
    seen("record"),
]


def faults_at(course: str, step: str) -> set[str]:
    found = matrix.cells(COURSES[course], RUN)
    return {cell.fault for cell in found if cell.stop.step.name == step}


def test_only_what_is_there_is_hurt() -> None:
    assert faults_at("update", "stream") == set(FAULTS)
    assert {"worker-dies", "reset-controller-worker"} & faults_at("update", "boot") == set()
    assert "machine-dies" in faults_at("update", "boot")
    assert "machine-dies" not in faults_at("update", "record")


def test_transfers_share_their_steps() -> None:
    """What comes before the worker is tried with the first transfer, the rest with an update."""
    assert faults_at("transfer", "load")
    assert not faults_at("transfer", "stream")
    assert not faults_at("update", "load")


def test_a_long_step_is_hurt_amid_its_work_too() -> None:
    kills = [
        cell.stop
        for cell in matrix.cells(COURSES["update"], RUN)
        if (cell.fault, cell.stop.step.name) == ("kill", "stream")
    ]
    assert [stop.moment for stop in kills] == [Moment.BEFORE, Moment.AMID]
    assert 0 < kills[1].delay < 2


def test_the_order_follows_from_the_seed_and_lets_no_row_wait() -> None:
    found = list(matrix.cells(COURSES["update"], RUN))
    one, other = (matrix.spread(found, seed) for seed in ("a1", "b2"))
    assert one == matrix.spread(list(reversed(found)), "a1")
    assert one != other
    assert {cell.stop.step.name for cell in one[:12]} == {"boot", "stream", "record"}


def test_what_is_left_or_gone_is_named() -> None:
    after = Host(("web",), ("kept",), (), (), ("qemu-system-x86:web", "swtpm:kept"), {})
    before = Host((), ("lost",), (), (), (), {})
    assert after.differences(QUIET, frozenset({"kept"})) == [
        "domains left: web",
        "processes left: qemu-system-x86:web",
    ]
    assert after.differences(before) == [
        "domains left: web",
        "volumes left: kept",
        "volumes gone: lost",
        "processes left: qemu-system-x86:web, swtpm:kept",
    ]


@pytest.fixture
def outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells that were tried, one of them twice."""
    monkeypatch.setattr(book, "FOLDER", tmp_path / "faults")
    monkeypatch.setattr(book, "RESULTS", tmp_path / "reliability.jsonl")
    monkeypatch.setattr(page, "PAGE", tmp_path / "reliability.md")
    book.keep_steps("update", RUN)
    for fault, fate, broken, commit in (
        ("kill", Fate.DIED, ("lost | it",), "0000000001"),
        ("kill", Fate.DIED, (), "0000000002"),
        ("term", Fate.FAILED, ("double: web",), "0000000002"),
    ):
        cell = Cell(course="update", stop=Stop(step=RUN[2].step), fault=fault)
        now = datetime(2026, 12, 1, int(commit), tzinfo=UTC)
        book.keep(Outcome(cell=cell, fate=fate, broken=broken, commit=commit, moment=now))


def test_the_page_shows_each_step_and_red_as_red(outcomes: None) -> None:
    page.write()
    text = page.PAGE.read_text()
    assert "2 cells tried, 1 green, 1 red" in text
    assert "| `stream` | kill: swept, term: **RED** |" in text
    assert "| `boot` | · |" in text
    assert "| update, `stream`, term | double: web |" in text
    assert "lost" not in text.partition("## The faults")[2], "it was red once, and is not any more"


def test_a_cell_is_tried_again_at_another_commit(outcomes: None) -> None:
    (cell, *_) = (each.cell for each in book.newest().values())
    assert book.is_tried(cell, book.newest(), "0000000002")
    assert not book.is_tried(cell, book.newest(), "0000000003")


def test_the_tiny_machine_shows_its_prompt_and_obeys_its_power_button(tmp_path: Path) -> None:
    disk, serial = tmp_path / "disk", tmp_path / "serial"
    disk.write_bytes(tiny.boot_sector().ljust(MiB, b"\0"))
    words = ["-M", "q35,accel=tcg", "-m", "32", "-display", "none", "-net", "none"]
    words += ["-drive", f"file={disk},format=raw,if=virtio", "-serial", f"file:{serial}"]
    with subprocess.Popen(
        ["qemu-system-x86_64", *words, "-monitor", "stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as qemu:
        assert qemu.stdin is not None
        while "tiny login: " not in (serial.read_text() if serial.exists() else ""):
            assert qemu.poll() is None
        qemu.stdin.write("system_powerdown\n")
        qemu.stdin.flush()
        assert qemu.wait(60) == 0
