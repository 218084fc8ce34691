# SPDX-License-Identifier: Apache-2.0
"""Stages for cells: set up, kept for as long as nothing is red on them, and taken away."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.live.faults import book, scene
from tests.live.faults.courses import Course, Stage
from tests.live.faults.play import play, unjudged
from tests.live.faults.records import Cell, Outcome, SeenStep
from tests.live.faults.scene import Scene
from tradewind.errors import TradewindError

# Cells that share the run without a fault.
_TOGETHER: Final = 3


def stage_of(lent: Scene, course: Course) -> Stage:
    """Set a course up on hosts where nothing is."""
    scene.forget(lent, scene.VICTIM)
    made = Stage(lent, course, scene.VICTIM)
    made.set_up()
    return made


@dataclass(slots=True)
class Tries:
    """Cells of one course, played on one stage for as long as nothing is red on it."""

    lent: Scene
    course: Course
    _stage: Stage | None = None

    def steps(self) -> list[SeenStep]:
        """Return the steps of the course, which is run once unless they are known."""
        if not book.steps(self.course.name):
            stage = self._staged()
            run = stage.run()
            if (run.status == 0) is not self.course.succeeds:
                raise AssertionError(f"{self.course.name} is not what it says: {run.said[-3000:]}")
            book.keep_steps(self.course.name, run.steps)
            self._clear(again=self.course.replicas)
        return book.steps(self.course.name)

    def play(self, cells: Sequence[Cell], until: float) -> Iterator[Outcome]:
        """Play cells until the time is over."""
        for first in range(0, len(cells), _TOGETHER):
            if time.monotonic() > until:
                break
            outcomes = self._play(cells[first : first + _TOGETHER])
            yield from outcomes
            green = all(outcome.green for outcome in outcomes)
            self._clear(again=green and self.course.replicas)
        self._clear(again=False)

    def _play(self, cells: Sequence[Cell]) -> list[Outcome]:
        """Play cells; what the matrix itself stumbles over makes them red, and ends no other."""
        try:
            return play(self._staged(), cells)
        except (AssertionError, TradewindError, OSError, subprocess.SubprocessError) as error:
            self.lent.mend()
            return [unjudged(cell, error) for cell in cells]

    def _staged(self) -> Stage:
        self._stage = self._stage or stage_of(self.lent, self.course)
        return self._stage

    def _clear(self, *, again: bool) -> None:
        """Have the machines as they were, or have none."""
        if again and self._stage is not None:
            self._stage.remove_deployed()
            self._stage.revive()
        else:
            self._stage = None
            scene.forget(self.lent, scene.VICTIM)
