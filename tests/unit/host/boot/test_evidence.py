# SPDX-License-Identifier: Apache-2.0
"""Evidence of boots: kept in a folder, found again, and removed when it is old."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tests.unit.host.boot.test_screenshot import DOMAIN, ppm
from tradewind.host.boot import evidence
from tradewind.host.boot.console import Console
from tradewind.host.domain import domains
from tradewind.model.proof import KeptEvidence
from tradewind.model.run import Run

RUN = Run(id="0123456789ab", transfer="cafe0001", begun=datetime(2026, 11, 24, 9, tzinfo=UTC))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(evidence.VARIABLE, str(tmp_path / "evidence"))
    return tmp_path / "evidence"


@pytest.fixture
def console(host: FakeConnection) -> Console:
    domains.start_transient(host, DOMAIN)
    printing = Console()
    printing.feed(b"\x1b[2J\x1b[1;1H\x1b[1mGRUB\x1b[0m\r\nweb01 login: ")
    return printing


def test_console_and_screen_are_kept_and_found(
    host: FakeConnection, console: Console, home: Path
) -> None:
    host.host.screens["web01"] = ppm(72, 40)
    folder = evidence.folder_of(RUN, "web 01/../x")
    assert folder == home / "2026-11-24-web_01_.._x-0123456789ab"
    kept = evidence.keep(host, "web01", console, folder)
    assert kept == KeptEvidence(
        folder=str(folder),
        screenshot=str(folder / "screenshot.png"),
        console="GRUB\nweb01 login:",
    )
    assert folder.stat().st_mode & 0o077 == 0
    assert evidence.load(folder) == kept


def test_no_screen_is_a_note(host: FakeConnection, console: Console) -> None:
    folder = evidence.folder_of(RUN, "web01")
    kept = evidence.keep(host, "web01", console, folder)
    assert kept.note == "no screenshot: no screen to take a picture of"
    assert kept.screenshot == ""
    assert (folder / "console.txt").read_text() == "GRUB\nweb01 login:\n"


def test_a_picture_that_cannot_be_written_leaves_the_console(
    host: FakeConnection, console: Console
) -> None:
    host.host.screens["web01"] = ppm(72, 40)
    folder = evidence.folder_of(RUN, "web01")
    (folder / evidence.SCREENSHOT).mkdir(parents=True)
    kept = evidence.keep(host, "web01", console, folder)
    assert "not kept" in kept.note
    assert (kept.folder, kept.screenshot) == (str(folder), "")


def test_a_folder_that_cannot_be_made_is_a_note(
    host: FakeConnection, console: Console, home: Path
) -> None:
    home.write_text("in the way")
    kept = evidence.keep(host, "web01", console, evidence.folder_of(RUN, "web01"))
    assert "not kept" in kept.note
    assert (kept.folder, kept.screenshot) == ("", "")
    assert kept.console == "GRUB\nweb01 login:"


def test_nothing_kept_is_nothing_found(home: Path) -> None:
    assert evidence.load(evidence.folder_of(RUN, "web01")) == KeptEvidence()


def test_only_what_is_old_and_ours_is_removed(home: Path) -> None:
    old = home / "2026-08-01-web01-0123456789ab"
    shared = home / "2026-08-02-web01-0123456789ab"
    young = home / "2026-11-01-web01-0123456789ab"
    other = home / "2020-01-01-holidays"
    for folder in (old, shared, young, other):
        folder.mkdir(parents=True)
        (folder / "console.txt").write_text("x")
    (shared / "notes.txt").write_text("somebody's own")
    evidence.remove_old(home, date(2026, 11, 24))
    assert sorted(home.iterdir()) == sorted([shared, young, other])
    assert [file.name for file in shared.iterdir()] == ["notes.txt"]
    assert (other / "console.txt").exists()
