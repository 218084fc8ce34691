# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.live.faults`: try cells of the matrix on a lab, and write the page."""

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Final

import typer

import images
from lab import lifecycle, site
from lab.guests import wipe
from tests.live.faults import book, matrix, page, scene
from tests.live.faults.courses import Course
from tests.live.faults.faults import FAULTS
from tests.live.faults.records import Cell, Outcome, SeenStep
from tests.live.faults.scene import Scene
from tests.live.faults.trying import Tries

# How many cells of a course are played before another has its turn: setting one up takes a minute.
_CHEAP_ONES: Final = 12
_DEAR_ONES: Final = 6

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def faults(
    minutes: Annotated[float, typer.Option(help="Begin no cell after so many.")] = 1e6,
    only: Annotated[str, typer.Option(help="Cells whose title fits, with * and ?.")] = "*",
    seed: Annotated[str, typer.Option(help="Decides the order; else the commit does.")] = "",
    again: Annotated[bool, typer.Option(help="Those too that were tried at this commit.")] = False,
    brief: Annotated[bool, typer.Option(help="No faults that last until the run ends.")] = False,
    page_only: Annotated[bool, typer.Option(help="Write the page of what is known.")] = False,
) -> None:
    """Try what was not tried at this commit yet, cheap cells first."""
    # So that the lab is taken down whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not page_only:
        choice = _Choice(seed or book.commit(), again=again, brief=brief)
        _try(time.monotonic() + 60 * minutes, only, choice)
    page.write()


def _try(until: float, only: str, choice: "_Choice") -> None:
    images.build_for_lab(["worker"])
    the_lab = lifecycle.up()
    try:
        site.connect_prefect()
        for host in (the_lab.source, the_lab.destination):
            wipe(host)
        site.store_blocks(the_lab)
        site.stage_worker_image()
        with (
            tempfile.TemporaryDirectory(prefix="tradewind-faults-") as folder,
            scene.scene(the_lab, Path(folder)) as lent,
        ):
            _take_turns(lent, until, only, choice)
    finally:
        lifecycle.down()


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which cells come next: untried ones first, in the seed's order."""

    seed: str
    again: bool
    brief: bool
    done: set[str] = field(default_factory=set)

    def of(self, course: Course, steps: Sequence[SeenStep], only: str) -> list[Cell]:
        """Choose the next cells of a course."""
        found = matrix.spread(list(matrix.cells(course, steps)), self.seed)
        known, now = book.newest(), book.commit()
        left = [
            cell
            for cell in sorted(found, key=lambda cell: cell.title in known)
            if fnmatch(cell.title, only)
            and cell.title not in self.done
            and not (self.brief and FAULTS[cell.fault].is_lasting)
            and (self.again or not book.is_tried(cell, known, now))
        ]
        return left[: _CHEAP_ONES if course.is_cheap else _DEAR_ONES]


def _take_turns(lent: Scene, until: float, only: str, choice: _Choice) -> None:
    """Play some cells of each course, and again, until none is left or the time is over."""
    meant = only.partition("/")[0].strip()
    left = [course for course in matrix.courses_by_cost() if fnmatch(course.name, meant)]
    while left:
        for course in tuple(left):
            if time.monotonic() > until:
                return
            tries = Tries(lent, course)
            cells = choice.of(course, tries.steps(), only)
            if not cells:
                left.remove(course)
            for outcome in tries.play(cells, until):
                choice.done.add(outcome.cell.title)
                book.keep(outcome)
                _say(outcome)


def _say(outcome: Outcome) -> None:
    mark = "ok " if outcome.green else "RED"
    typer.echo(f"{mark} {outcome.cell.title}: {outcome.fate}, {outcome.seconds:.0f} s")
    for said in outcome.broken:
        typer.echo(f"      {said}")


if __name__ == "__main__":
    app()
