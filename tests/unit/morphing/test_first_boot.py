# SPDX-License-Identifier: Apache-2.0
"""Scripts that a guest runs once, at its first boot."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.fakes.guest_tree import FakeGuestTree
from tradewind.errors import ScriptError
from tradewind.host.boot import first_boot as results
from tradewind.model.scripts import FirstBootScript, LoadedScript, ScriptPhase
from tradewind.morphing import first_boot

SCRIPT = LoadedScript(
    phase=ScriptPhase.FIRST_BOOT, name="10 join.sh", text="#!/bin/sh\necho hi\n", time_limit=90
)
UNIT = "tradewind-first-boot-01-10-join-sh.service"
PROGRAM = "/usr/local/sbin/tradewind-first-boot-01-10-join-sh"


def guest(tmp_path: Path, state: str = "enabled") -> FakeGuestTree:
    tree = FakeGuestTree(tmp_path, {"/usr/lib/systemd/systemd": ""})
    tree.on("systemctl enable", "")
    tree.on("systemctl list-unit-files", f"{UNIT} {state} enabled\n")
    return tree


def test_unit_runs_the_script_once_and_takes_itself_away(tmp_path: Path) -> None:
    tree = guest(tmp_path)
    left = first_boot.install(tree, SCRIPT, 1, {"TRADEWIND_MACHINE": 'we"b%01'})
    assert left == FirstBootScript(name="10 join.sh", unit=UNIT, time_limit=90)
    assert (tmp_path / PROGRAM[1:]).stat().st_mode & 0o777 == 0o755
    text = tree.read_text(f"/etc/systemd/system/{UNIT}")
    assert "Type=oneshot" in text
    assert f"ExecStart={PROGRAM}\n" in text
    assert "TimeoutStartSec=90\n" in text
    assert 'Environment="TRADEWIND_MACHINE=we\\"b%%01"\n' in text
    removed = re.search(r"rm -f (.*)'", text)
    assert removed
    assert removed.group(1).split() == [
        PROGRAM,
        f"/etc/systemd/system/{UNIT}",
        f"/etc/systemd/system/multi-user.target.wants/{UNIT}",
    ]
    assert f"systemctl enable {UNIT}" in tree.commands


def test_twice_is_once(tmp_path: Path) -> None:
    tree = guest(tmp_path)
    first_boot.install(tree, SCRIPT, 1, {})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first_boot.install(tree, SCRIPT, 1, {})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_systemd_agrees_with_the_unit(tmp_path: Path) -> None:
    """systemd-analyze reads a unit as systemd would, and names what it does not understand."""
    (tmp_path / "usr/local/sbin").mkdir(parents=True)
    tree = guest(tmp_path)
    first_boot.install(tree, SCRIPT, 1, {"TRADEWIND_MACHINE": "web 01", "TRADEWIND_OS": ""})
    unit = tmp_path / "etc/systemd/system" / UNIT
    unit.write_text(unit.read_text().replace(PROGRAM, f"{tmp_path}{PROGRAM}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT in line]
    assert complaints == []


def test_the_last_line_and_the_removal_are_a_plain_shells(tmp_path: Path) -> None:
    tree = guest(tmp_path)
    first_boot.install(tree, SCRIPT, 1, {})
    text = tree.read_text(f"/etc/systemd/system/{UNIT}")
    command = re.search(r"ExecStopPost=/bin/sh -c '(.*)'", text)
    assert command
    # What systemd makes of "$$".
    line = command.group(1).replace("$$", "$").replace("/usr/local", f"{tmp_path}/usr/local")
    line = line.replace("/etc/systemd", f"{tmp_path}/etc/systemd")
    done = subprocess.run(
        ["sh", "-c", line],
        env={"SERVICE_RESULT": "exit-code", "EXIT_STATUS": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not (tmp_path / PROGRAM[1:]).exists()
    assert not (tmp_path / "etc/systemd/system" / UNIT).exists()
    report = results.parse(FirstBootScript(name="x", unit=UNIT, time_limit=9), f"hi\n{done.stdout}")
    assert report is not None
    assert (report.status, report.output, report.late) == (3, "hi", False)


def test_a_guest_without_systemd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="has no systemd"):
        first_boot.install(FakeGuestTree(tmp_path, {}), SCRIPT, 1, {})


def test_a_unit_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="is not enabled"):
        first_boot.install(guest(tmp_path, "masked"), SCRIPT, 1, {})
