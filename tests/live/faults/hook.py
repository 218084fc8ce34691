# SPDX-License-Identifier: Apache-2.0
"""In a flow's process: write down each step, and stop at the one where the fault shall come.

Nothing of it is in the product: `install` puts itself before the call of any Prefect task, and so
learns of each step that there is or ever will be, by the name that it was declared with.

    <folder>/stop.json   where to stop: a Stop
    <folder>/reached     made by the process that comes there; Moment.BEFORE waits for
    <folder>/go          which the driver makes when the fault is there
    <folder>/steps       a SeenStep a line
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from prefect import Task
from prefect.context import FlowRunContext

from tests.live.faults.records import Moment, Reached, SeenStep, Step, Stop

VARIABLE: Final = "TRADEWIND_FAULTS"
_LOOK: Final = 0.02

_turns: Counter[tuple[str, str]] = Counter()


def install() -> None:
    """Let every task that a flow calls pass through `_gate`; its own retries are within."""
    run = Task.__call__

    def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        with _gate(task):
            return run(task, *args, **kwargs)

    Task.__call__ = call  # type: ignore[method-assign, assignment]


@contextmanager
def _gate(task: Any) -> Iterator[None]:
    folder, flow = os.environ.get(VARIABLE), FlowRunContext.get()
    if folder is None or flow is None or flow.flow is None:
        yield
        return
    step = _begin(flow.flow.name, str(task.task_run_name or task.name))
    guests, began = running_guests(), time.monotonic()
    try:
        with _stopped(Path(folder), step):
            yield
    finally:
        seen = SeenStep(step=step, seconds=time.monotonic() - began, guests=guests)
        with Path(folder, "steps").open("a") as file:
            file.write(f"{seen.model_dump_json()}\n")


def _begin(flow: str, name: str) -> Step:
    _turns[flow, name] += 1
    return Step(flow=flow, name=name, turn=_turns[flow, name])


@contextmanager
def _stopped(folder: Path, step: Step) -> Iterator[None]:
    stop = _stop(folder)
    if stop is None or stop.step != step:
        yield
        return
    if stop.moment is Moment.BEFORE:
        if _reach(folder):
            _wait_for(folder / "go")
        yield
        return
    timer = threading.Timer(stop.delay, _reach, [folder])
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def _stop(folder: Path) -> Stop | None:
    with suppress(FileNotFoundError):
        return Stop.model_validate_json((folder / "stop.json").read_text())
    return None


def _reach(folder: Path) -> bool:
    """Tell the driver; of a group's processes the first one only."""
    said = folder / f"reached.{os.getpid()}"
    said.write_text(Reached(pid=os.getpid()).model_dump_json())
    try:
        os.link(said, folder / "reached")
    except FileExistsError:
        return False
    return True


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(_LOOK)


def running_guests() -> tuple[str, ...]:
    """Name the guests that have a QEMU on this machine, whichever host of the lab it is in."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if comm.read_text().startswith("qemu-system"):
                line = (comm.parent / "cmdline").read_text()
                found.append(line.partition("guest=")[2].partition(",")[0])
    return tuple(sorted(filter(None, found)))  # a QEMU without a name is none of libvirt's
