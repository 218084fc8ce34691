# SPDX-License-Identifier: Apache-2.0
"""All cells that there are: the steps that were seen × the faults that find something to hurt."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from tests.live.faults.courses import COURSES, Course
from tests.live.faults.faults import FAULTS, is_worker
from tests.live.faults.records import Cell, Moment, SeenStep, Stop
from tests.live.faults.scene import VICTIM

# A step that takes so long is hurt amid its work as well: after a third of the time.
LONG: Final = 0.5
_PART: Final = 0.3


def cells(course: Course, seen: Sequence[SeenStep]) -> Iterator[Cell]:
    """List the cells of a course, step by step."""
    for each in _own(course, seen):
        for fault in FAULTS.values():
            if not fault.fits(_runs(course, each), each.guests):
                continue
            for stop in _stops(each):
                yield Cell(course=course.name, stop=stop, fault=fault.name)


def _stops(each: SeenStep) -> Iterator[Stop]:
    yield Stop(step=each.step)
    if each.seconds >= LONG:
        yield Stop(step=each.step, moment=Moment.AMID, delay=round(each.seconds * _PART, 2))


def _runs(course: Course, each: SeenStep) -> bool:
    """Say whether the machine's QEMU was there, by the guests that were."""
    return course.machine_runs and any(is_victim(name) for name in each.guests)


def is_victim(guest: str) -> bool:
    """Tell the matrix's machines by their names."""
    return guest.startswith(VICTIM)


def _own(course: Course, seen: Sequence[SeenStep]) -> Sequence[SeenStep]:
    """Leave to the first transfer what comes before its worker, to the update what comes then."""
    if course.flow != "transfer":
        return seen
    first = next((n for n, each in enumerate(seen) if any(map(is_worker, each.guests))), len(seen))
    return seen[:first] if course.name == "transfer" else seen[first - 1 :]


def shuffled(found: Sequence[Cell], seed: str) -> list[Cell]:
    """Put cells into an order that the seed decides, and nothing else."""
    return sorted(found, key=lambda cell: _digest(seed, cell))


def _digest(seed: str, cell: Cell) -> str:
    return hashlib.sha256(f"{seed} {cell.title}".encode()).hexdigest()


def spread(found: Sequence[Cell], seed: str) -> list[Cell]:
    """Let each fault and each step come early: no row and no column waits for another."""
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    ranked = []
    for cell in shuffled(found, seed):
        row, column = str(cell.stop.step), cell.fault
        ranked.append((max(rows.get(row, 0), columns.get(column, 0)), cell))
        rows[row], columns[column] = rows.get(row, 0) + 1, columns.get(column, 0) + 1
    return [cell for _, cell in sorted(ranked, key=lambda pair: pair[0])]


def courses_by_cost() -> list[Course]:
    """Cheap courses first."""
    return sorted(COURSES.values(), key=lambda course: not course.is_cheap)
