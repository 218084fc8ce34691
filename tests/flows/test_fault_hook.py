# SPDX-License-Identifier: Apache-2.0
"""How the fault matrix finds steps, and where a process lets itself be hurt."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.faults.processes import ROOT, Run
from tests.live.faults.records import Moment, Step, Stop
from tradewind.waiting import wait_for

FIRST = Step(flow="two-steps", name="fetch-{name}")
SECOND = FIRST.model_copy(update={"turn": 2})


@contextmanager
def started(folder: Path, stop: Stop | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    if stop is not None:
        (folder / "stop.json").write_text(stop.model_dump_json())
    program = [sys.executable, "-m", "tests.fakes.two_steps", str(folder)]
    with (folder / "err").open("wb") as said:
        process = subprocess.Popen(program, cwd=ROOT, stderr=said, stdout=said, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_every_step_is_seen_without_being_listed_and_a_retry_is_no_step(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert process.wait(120) == 0, Run(tmp_path).said
    assert [each.step for each in Run(tmp_path).steps] == [FIRST, SECOND]
    assert "Retry" in Run(tmp_path).said


def test_process_waits_at_its_stop_and_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with started(tmp_path, Stop(step=SECOND)) as process:
        reached = run.stop_at(120)
        assert reached is not None
        assert reached.pid == process.pid
        assert [each.step for each in run.steps] == [FIRST]
        run.go()
        assert process.wait(120) == 0, run.said
    assert [each.step for each in run.steps] == [FIRST, SECOND]


def test_signal_is_heard_at_the_stop(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with started(tmp_path, Stop(step=SECOND)) as process:
        assert run.stop_at(120) is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) not in (0, -signal.SIGKILL)


def test_amid_a_step_it_tells_and_does_not_wait(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with started(tmp_path, Stop(step=SECOND, moment=Moment.AMID, delay=0.0)) as process:
        assert process.wait(120) == 0, run.said
    wait_for((tmp_path / "steps").exists, "the step was seen", 5, every=0.1)
