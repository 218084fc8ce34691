# SPDX-License-Identifier: Apache-2.0
"""An operator's scripts in a deployment: when they run, and what their failure stops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.deploy import deploy
from tests.fakes.flow_stage import Stage
from tradewind.errors import OptionError, ScriptError
from tradewind.model.scripts import FirstBootScript, LoadedScript, ScriptReport
from tradewind.morphing import first_boot, scripts

PLAIN = "#!/bin/sh\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "scripts"
    for name in ("linux/before-mount/10-look", "debian/after-mount/20-ntp", "suse/first-boot/no"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(PLAIN)
    return root


def played(stage: Stage, statuses: dict[str, int]) -> Callable[..., ScriptReport]:
    def run(*arguments: Any) -> ScriptReport:
        (script,) = (each for each in arguments if isinstance(each, LoadedScript))
        stage.note_task_run()
        stage.note(f"script {script.phase} {script.name}")
        return ScriptReport(
            name=script.name,
            phase=script.phase,
            status=statuses.get(script.name, 0),
            output="it said this",
            seconds=1,
        )

    return run


def leave(stage: Stage) -> Callable[..., FirstBootScript]:
    def install(_tree: object, script: LoadedScript, number: int, _said: object) -> FirstBootScript:
        stage.note(f"script {script.phase} {script.name}")
        return FirstBootScript(name=script.name, unit=f"{number}.service", time_limit=60)

    return install


@pytest.fixture
def play(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, int]], None]:
    stage.make_replica()

    def start(statuses: dict[str, int]) -> None:
        for place in ("run_in_worker", "run_in_guest"):
            monkeypatch.setattr(scripts, place, played(stage, statuses))
        monkeypatch.setattr(first_boot, "install", leave(stage))
        monkeypatch.setattr(
            "tradewind.host.boot.first_boot.read",
            lambda _domain, left: tuple(
                ScriptReport(name=s.name, phase="first boot", status=0, output="", seconds=0)
                for s in left
            ),
        )

    return start


OWN = [{"phase": "first boot", "text": PLAIN, "name": "join"}]


def test_scripts_run_in_their_phases(
    stage: Stage, folder: Path, play: Callable[[dict[str, int]], None]
) -> None:
    play({})
    report = deploy(stage.deploy(scripts_folder=str(folder), scripts=OWN))
    own = [line for line in stage.diary if line.split()[0] in {"script", "mount", "unmount"}]
    assert own == [
        "script before mount 10-look",
        "mount",
        "script after mount 20-ntp",
        "script first boot join",
        "unmount",
    ]
    assert [each.name for each in report.scripts] == ["10-look", "20-ntp"]
    assert report.proof is not None
    assert [each.name for each in report.proof.first_boot] == ["join"]
    assert {"script-before-mount-10-look", "script-after-mount-20-ntp"} <= set(stage.task_runs)


def test_a_failure_stops_the_deployment(
    stage: Stage, folder: Path, play: Callable[[dict[str, int]], None]
) -> None:
    play({"20-ntp": 3})
    before = stage.volumes()
    with pytest.raises(ScriptError, match=r"20-ntp \(after mount\) failed with status 3"):
        deploy(stage.deploy(scripts_folder=str(folder)))
    assert stage.volumes() == before
    assert "define" not in stage.diary
    allowed = stage.deploy(scripts_folder=str(folder), allow_script_failure=True)
    assert [each.status for each in deploy(allowed).scripts] == [0, 3]


def test_a_script_that_is_missing_is_refused_first(
    stage: Stage, tmp_path: Path, play: Callable[[dict[str, int]], None]
) -> None:
    missing = [{"phase": "after mount", "path": str(tmp_path / "nothing")}]
    with pytest.raises(OptionError, match="cannot be read"):
        deploy(stage.deploy(scripts=missing))
    assert stage.diary == []
