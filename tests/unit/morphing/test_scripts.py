# SPDX-License-Identifier: Apache-2.0
"""An operator's scripts: they really run here, in this machine's place of a worker and a guest."""

import os
import time
from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import ScriptError
from tradewind.model.guest import Family, GuestOS
from tradewind.model.scripts import LoadedScript, ScriptPhase, ScriptReport
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.morphing import script_runner, scripts

UBUNTU = GuestOS(
    family=Family.DEBIAN,
    id="ubuntu",
    version="24.04",
    pretty_name="Ubuntu 24.04",
    mounts=(),
    kernels=(),
)


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "RUNNER", str(tmp_path / "runner"))
    monkeypatch.setattr(scripts, "IN_WORKER", str(tmp_path / "script"))


def loaded(text: str, *, scope: str = "", name: str = "one", limit: int = 30) -> LoadedScript:
    return LoadedScript(
        phase=ScriptPhase.BEFORE_MOUNT, name=name, text=text, time_limit=limit, scope=scope
    )


def run(text: str, limit: int = 30) -> ScriptReport:
    volume = Volume(pool="fast", name="a", capacity=1, format="raw")
    disk = ReplicaVolume(disk_id="sda", volume=volume, serial="tw01", blank=False)
    variables = scripts.of_worker("web01", UBUNTU, [disk])
    return scripts.run_in_worker(LocalRemote(), loaded(text, limit=limit), variables)


def test_output_and_status_are_told() -> None:
    report = run("#!/bin/sh\necho out; echo err >&2; exit 3\n")
    assert (report.status, report.output, report.late) == (3, "out\nerr\n", False)
    assert report.failed
    assert report.outcome == "failed with status 3"


def test_environment_is_what_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of this process")
    report = run("#!/bin/sh\nenv | grep -v ^_ | sort\n")
    assert report.output.splitlines() == [
        "HOME=/root",
        "LC_ALL=C",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD=" + str(Path.cwd()),
        "TERM=dumb",
        "TRADEWIND_DISKS=/dev/disk/by-id/virtio-tw01",
        "TRADEWIND_FAMILY=debian",
        "TRADEWIND_MACHINE=web01",
        "TRADEWIND_OS=ubuntu",
        "TRADEWIND_OS_VERSION=24.04",
        "TRADEWIND_PHASE=before mount",
        "TRADEWIND_ROOT=/mnt/tradewind",
    ]


def test_a_hostile_guest_says_nothing_odd_to_a_script() -> None:
    trap = UBUNTU.model_copy(update={"id": "x$(reboot)`id`;\n../..", "version": "1'\""})
    said = scripts.of_guest("web01", trap)
    assert said["TRADEWIND_OS"] == "xrebootid...."
    assert said["TRADEWIND_OS_VERSION"] == "1"
    assert said["TRADEWIND_ROOT"] == "/"


def ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_time_limit_ends_the_script_and_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    report = run(
        f"""#!/bin/sh
trap "" TERM
echo begun
setsid sh -c 'trap "" TERM; echo $$ >>{pids}; sleep 600; sleep 600' &
(setsid sleep 600 & echo $! >>{pids})
while [ "$(wc -l <{pids})" -lt 2 ]; do sleep 0.1; done
sleep 600
""",
        limit=3,
    )
    assert report.late
    assert report.failed
    assert report.output.startswith("begun")
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 2
    assert all(map(ended, left))


def test_what_a_script_leaves_in_the_background_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    report = run(f"#!/bin/sh\nsleep 600 &\necho $! >{pids}\n")
    assert report.status == 0
    assert ended(int(pids.read_text()))


def test_output_is_bounded() -> None:
    report = run("#!/bin/sh\nyes | head -c 1000000\necho last\n")
    assert len(report.output) == scripts.MOST_OUTPUT
    assert report.output.endswith("last\n")


def test_signals_are_told() -> None:
    assert run("#!/bin/sh\nkill -9 $$\n").status == 128 + 9


def test_runner_is_plain_python_that_a_worker_has() -> None:
    text = Path(script_runner.__file__).read_text()
    assert "tradewind." not in text
    assert "match " not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_script_runs_inside_the_guest(tmp_path: Path) -> None:
    root = small_root.build(tmp_path / "guest")
    script = loaded('#!/bin/sh\necho "$TRADEWIND_ROOT"; ls /\n').model_copy(
        update={"phase": ScriptPhase.AFTER_MOUNT}
    )
    report = scripts.run_in_guest(
        LocalRemote(), str(root), script, scripts.of_guest("web01", UBUNTU)
    )
    assert report.status == 0, report.output
    assert report.output.splitlines()[0] == "/"
    assert sorted(report.output.split()[1:]) == sorted(entry.name for entry in root.iterdir())
    assert report.phase is ScriptPhase.AFTER_MOUNT


def test_failure_stops_unless_it_is_allowed() -> None:
    failed = run("#!/bin/sh\necho why; exit 1\n")
    with pytest.raises(ScriptError, match="script one") as caught:
        scripts.judge(failed, allowed=False)
    assert "why" in caught.value.message
    assert scripts.judge(failed, allowed=True) is failed
    fine = run("#!/bin/sh\n")
    assert scripts.judge(fine, allowed=False) is fine


def test_the_general_comes_before_the_special() -> None:
    every = [
        loaded("#!", scope="", name="own"),
        loaded("#!", scope="ubuntu", name="b"),
        loaded("#!", scope="ubuntu", name="a"),
        loaded("#!", scope="red-hat"),
        loaded("#!", scope="linux", name="all"),
        loaded("#!", scope="debian", name="family"),
    ]
    chosen = scripts.chosen(every, UBUNTU, ScriptPhase.BEFORE_MOUNT)
    assert [each.name for each in chosen] == ["all", "family", "b", "a", "own"]
    assert scripts.chosen(every, UBUNTU, ScriptPhase.FIRST_BOOT) == ()


def test_time_passes_only_as_long_as_the_script_runs() -> None:
    begun = time.monotonic()
    assert 0 < run("#!/bin/sh\n", limit=3600).seconds <= time.monotonic() - begun
