# SPDX-License-Identifier: Apache-2.0
"""Play cells: run, stop, hurt, look, sweep, run again, look again."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import lab
from lab import site
from tests.live.faults import book, judges, world
from tests.live.faults.courses import LIMIT, Stage
from tests.live.faults.faults import FAULTS, MACHINE, Fault, Target, injected
from tests.live.faults.processes import Run
from tests.live.faults.records import Cell, Fate, Outcome, Reached
from tests.live.faults.scene import OPTIONS
from tradewind.errors import LateError
from tradewind.waiting import wait_for

# From a SIGTERM to the end, on a machine that does other things besides; the aim is 30 s.
SIGTERM_LIMIT = 60.0
# From the end of a process to that of those that it has started.
ORPHAN_LIMIT = 60.0


@dataclass(slots=True)
class _Trial:
    """What was seen of one cell so far."""

    broken: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    told: str = ""
    seconds_to_end: float = 0.0


def play(stage: Stage, cells: Sequence[Cell]) -> list[Outcome]:
    """Play cells one after the other; a run without a fault, and its contents, are of them all."""
    outcomes = [_play(stage, cell, turn) for turn, cell in enumerate(cells)]
    common = f" (after {len(cells)} cells)" if len(cells) > 1 else ""
    broken = tuple(f"{said}{common}" for said in _close(stage))
    return [
        outcome.model_copy(update={"broken": (*outcome.broken, *broken)}) for outcome in outcomes
    ]


def _play(stage: Stage, cell: Cell, turn: int) -> Outcome:
    begun, trial = time.monotonic(), _Trial()
    fault = FAULTS[cell.fault]
    before, others = stage.scene.look(), stage.scene.bystanders()
    replicas = judges.replicas(stage)
    stage.write(turn)
    with world.watched_for_doubles(stage.scene.hosts, list(stage.names)) as doubles:
        run = stage.scene.server.flow(stage.course.flow, stage.request(), cell.stop)
        fate = _hurt(stage, fault, run, trial)
        trial.told = f"{run.said}\n{_commands(stage, trial)}"
        trial.broken += judges.exit_code(run)
    trial.broken += doubles
    killed = fault.needs == MACHINE and fate is not Fate.NOT_HURT
    trial.broken += judges.places(stage, stage.course.machine_runs, trial.told, killed=killed)
    _put_right(stage, trial, turn)
    trial.broken += judges.leftovers(stage, before)
    if fate is Fate.ENDED_WELL or judges.has_moved(stage):
        trial.broken += judges.same_contents(stage)
    trial.broken += judges.untouched_replicas(stage, replicas)
    trial.broken += judges.frozen(stage)
    _reset(stage)
    trial.broken += judges.bystanders(stage, others)
    return Outcome(
        cell=cell,
        fate=fate,
        broken=tuple(trial.broken),
        said=run.sentence[:2000],
        remarks=tuple(trial.remarks),
        seconds=time.monotonic() - begun,
        seconds_to_end=trial.seconds_to_end,
        commit=book.commit(),
        moment=datetime.now(UTC),
    )


def unjudged(cell: Cell, error: Exception) -> Outcome:
    """Tell of a cell that nobody could judge."""
    said = f"it could not be judged: {type(error).__name__}: {str(error)[-600:]}"
    now = datetime.now(UTC)
    return Outcome(cell=cell, fate=Fate.DIED, broken=(said,), commit=book.commit(), moment=now)


def _hurt(stage: Stage, fault: Fault, run: Run, trial: _Trial) -> Fate:
    """Let the fault come at the stop, and wait for the run's end."""
    reached = run.stop_at(LIMIT)
    if reached is None:
        if (run.status == 0) is not stage.course.succeeds:
            trial.broken.append(f"exit code {run.status} without a fault: {run.sentence[-500:]}")
        return Fate.NOT_HURT
    began = time.monotonic()
    _inject(stage, fault, run, reached)
    _see_it_end(run, trial)
    trial.seconds_to_end = time.monotonic() - began
    if fault.name == "term" and trial.seconds_to_end > SIGTERM_LIMIT:
        trial.broken.append(f"it ended {trial.seconds_to_end:.0f} s after SIGTERM")
    return judges.fate_of(run)


def _see_it_end(run: Run, trial: _Trial) -> None:
    """Wait for the process, and for those that it has started: a group's end a little later."""
    ended = run.ended(LIMIT)
    try:
        wait_for(lambda: not run.family(), "its processes end", ORPHAN_LIMIT, every=0.5)
    except LateError:
        ended = False
    if not ended:
        trial.broken.append(f"it had not ended after {LIMIT:.0f} s: {run.family()}")
        run.insist()
        run.ended(30)


def _inject(stage: Stage, fault: Fault, run: Run, reached: Reached) -> None:
    target = Target(pid=reached.pid, machine=stage.machines[0].name)
    with injected(fault, target, ended=run.ended):
        run.go()


def _commands(stage: Stage, trial: _Trial) -> str:
    """What an operator asks after an accident: sweep, and how things are."""
    said = []
    for words in (("sweep", site.SOURCE, site.DESTINATION), ("status",)):
        run = stage.scene.server.command(*words, "--options", OPTIONS)
        if run.status != 0:
            trial.broken.append(f"`tradewind {words[0]}` failed: {run.sentence[-300:]}")
        said.append(f"{run.out}\n{run.sentence}")
    return "\n".join(said)


def _put_right(stage: Stage, trial: _Trial, turn: int) -> None:
    """Do what `tradewind status` asks for, one or the other; a machine that nobody knows of is
    started by hand."""
    for machine in stage.machines:
        asked = re.findall(rf"tradewind move (resume|rollback) {machine.name}\b", trial.told)
        if asked:
            words = ["move", asked[turn % len(asked)], machine.name, "--options", OPTIONS]
            yes = ["--yes"] if "rollback" in words else []
            run = stage.scene.server.command(*words, *yes, timeout=LIMIT)
            trial.remarks.append(f"tradewind {' '.join(words[:3])}: exit code {run.status}")
            if run.status != 0:
                trial.broken.append(f"`tradewind {words[0]} {words[1]}` failed: {run.sentence}")
        where = (stage.state_at_source(machine), stage.state_at_destination(machine))
        if stage.course.machine_runs and judges.RUNNING not in where:
            lab.run(stage.scene.source, ["virsh", "start", machine.name], check=False)
            trial.remarks.append(f"{machine.name} was started on its source by hand")


def _reset(stage: Stage) -> None:
    """Take away what a run that ended well has made, and have the source as it was."""
    stage.remove_deployed()
    stage.revive()


def _close(stage: Stage) -> Iterator[str]:
    """Run without a fault; then all contents are equal and nothing is left."""
    before, others = stage.scene.look(), stage.scene.bystanders()
    run = stage.run()
    if (run.status == 0) is not stage.course.succeeds:
        yield f"the next run: exit code {run.status}: {run.sentence[-800:] or run.said[-800:]}"
        _reset(stage)
        return
    if stage.course.succeeds:
        yield from judges.same_contents(stage)
    yield from judges.places(stage, stage.course.machine_runs, run.said, killed=False)
    yield from judges.leftovers(stage, before)
    _reset(stage)
    yield from judges.bystanders(stage, others)
