# SPDX-License-Identifier: Apache-2.0
"""Flow runs in processes of their own: the limit is kept, and no end touches another run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.settings import get_current_settings
from prefect.states import Cancelling

from tasks.groups.flow_processes import EndedRun, WantedFlowRun, run_each
from tests.fakes.flow_of_one import one


@flow
def group(asked: list[tuple[str, str]], folder: str, limit: int) -> list[EndedRun]:
    wanted = [
        WantedFlowRun(name, {"name": name, "end": end, "folder": folder}) for name, end in asked
    ]
    return run_each(one, wanted, limit)


@pytest.fixture
def survived() -> Iterator[list[int]]:
    """SIGTERM reaches us and not the default; Prefect sends it again when the flow has ended."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def find(name: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        named = FlowRunFilter(name=FlowRunFilterName(any_=[f"one-{name}"]))
        return client.read_flow_runs(flow_run_filter=named)[-1]


def when(paths: Sequence[Path], act: Callable[[], object]) -> threading.Thread:
    """Act half a second after files have appeared."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not all(path.exists() for path in paths) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every process that was started."""
    seen: list[list[str]] = []
    real = subprocess.Popen

    def popen(argv: list[str], **options: Any) -> object:
        seen.append(argv)
        return real(argv, **options)

    monkeypatch.setattr("tasks.groups.flow_processes.subprocess.Popen", popen)
    return seen


def test_each_ends_in_its_own_way_one_at_a_time(tmp_path: Path, started: list[list[str]]) -> None:
    ends = ["badly", "killed", "well"]
    runs = group([(end, end) for end in ends], str(tmp_path), 1)
    assert [run.state.value for run in runs] == ["FAILED", "CRASHED", "COMPLETED"]
    assert "CapacityError: pool fast is too small." in runs[0].message
    assert "was killed by signal 9" in runs[1].message
    assert find("badly").parent_task_run_id is not None
    moments = ["badly", "badly.end", "killed", "well", "well.end"]
    assert moments == sorted(moments, key=lambda name: float(Path(tmp_path, name).read_text()))
    # Anybody on the machine can read argv; the parameters come from the server.
    assert {UUID(argv[-1]) for argv in started} == {find(end).id for end in ends}
    assert str(tmp_path) not in str(started)


def test_one_is_cancelled_and_the_other_goes_on(tmp_path: Path) -> None:
    def cancel() -> None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(find("unwanted").id, Cancelling())

    watching = when([tmp_path / "unwanted"], cancel)
    runs = group([("unwanted", "never"), ("wanted", "well")], str(tmp_path), 2)
    watching.join()
    assert [run.state.value for run in runs] == ["CANCELLED", "COMPLETED"]
    assert (tmp_path / "unwanted.end").exists()


def test_a_cancelled_group_cancels_its_runs_within_seconds(
    tmp_path: Path, survived: list[int]
) -> None:
    asked: list[float] = []

    def stop() -> None:
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    # Either may be the first to begin; one that has not begun gives nothing back.
    watching = when([tmp_path / "first", tmp_path / "second"], stop)
    with pytest.raises(TerminationSignal):
        group([("first", "never"), ("second", "never"), ("third", "well")], str(tmp_path), 2)
    watching.join()
    assert time.monotonic() - asked[0] < 60
    for name in ("first", "second"):
        assert (tmp_path / f"{name}.end").exists()
        state = find(name).state
        assert state is not None
        assert state.name == "Cancelled"
    assert not (tmp_path / "third").exists()
    assert survived == [signal.SIGTERM]


def is_alive(run: UUID) -> bool:
    """Whether a process works on a flow run."""
    lines = [read_quietly(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return any(str(run) in line for line in lines)


def read_quietly(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


KILLED = """
import sys
from tests.flows.test_flow_processes import group
group([("orphan", "never")], sys.argv[1], 1)
"""


def test_run_does_not_outlive_a_group_that_is_killed(tmp_path: Path) -> None:
    """Nobody could cancel it any more; it is told to end, and gives back what it was lent."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    argv = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(argv, env={**os.environ, **settings}) as process:
        when([tmp_path / "orphan"], process.kill).join()
    assert process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while is_alive(find("orphan").id):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (tmp_path / "orphan.end").exists()
