# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md: each step × each fault, with what happened when it was tried last."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.live.faults import book
from tests.live.faults.courses import COURSES, Course
from tests.live.faults.faults import FAULTS
from tests.live.faults.processes import ROOT
from tests.live.faults.records import Cell, Fate, Moment, Outcome, Step

PAGE: Final = ROOT / "docs" / "reliability.md"
_MARKS: Final = {Fate.ENDED_WELL: "went on", Fate.FAILED: "gave back", Fate.DIED: "swept"}

_HEAD: Final = Path(__file__).with_suffix(".md")


def write() -> None:
    """Write the page from what is in the book."""
    known = book.newest()
    PAGE.write_text("\n".join([*_top(known), *_faults(), *_courses(known), *_reds(known)]) + "\n")


def _top(known: dict[str, Outcome]) -> Iterator[str]:
    told = [each for each in known.values() if each.fate is not Fate.NOT_HURT or each.broken]
    red = sum(not each.green for each in told)
    commits = ", ".join(f"`{name}`" for name in dict.fromkeys(each.commit for each in told))
    yield _HEAD.read_text().format(
        tried=len(told), green=len(told) - red, red=red, commits=commits or "none"
    )


def _faults() -> Iterator[str]:
    yield "## The faults\n"
    yield "| fault | what is done |\n|---|---|"
    for fault in FAULTS.values():
        yield f"| `{fault.name}` | {fault.words} |"
    yield ""


def _courses(known: dict[str, Outcome]) -> Iterator[str]:
    for course in COURSES.values():
        found = [each for each in known.values() if each.cell.course == course.name]
        if found:
            yield f"## {course.name}: {course.words}\n"
            yield from _table(course, found)
            yield ""


def _table(course: Course, found: Sequence[Outcome]) -> Iterator[str]:
    """Write a row for each step, with the faults that were tried there."""
    yield "| step | what happened |\n|---|---|"
    for step in _steps(course, found):
        tried = [each for each in found if each.cell.stop.step == step]
        words = ", ".join(_words(fault, tried) for fault in FAULTS if _of(fault, tried))
        yield f"| {_name(course, step)} | {words or '·'} |"


def _name(course: Course, step: Step) -> str:
    flow = "" if step.flow == course.flow else f"{step.flow}: "
    turn = f" ({step.turn})" if step.turn > 1 else ""
    return f"{flow}`{step.name}`{turn}"


def _steps(course: Course, found: Iterable[Outcome]) -> list[Step]:
    """Order the steps as they were seen; those that are no more come last."""
    seen = [each.step for each in book.steps(course.name)]
    tried = {each.cell.stop.step: None for each in found}
    return [*(step for step in seen), *(step for step in tried if step not in seen)]


def _of(fault: str, tried: Iterable[Outcome]) -> list[Outcome]:
    return [each for each in tried if each.cell.fault == fault]


def _words(fault: str, tried: Iterable[Outcome]) -> str:
    marks = {each.cell.stop.moment: _mark(each) for each in _of(fault, tried)}
    said = "/".join(marks.get(moment, "·") for moment in Moment) if Moment.AMID in marks else ""
    return f"{fault}: {said or marks[Moment.BEFORE]}"


def _mark(outcome: Outcome) -> str:
    if outcome.broken:
        return "**RED**"
    return _MARKS.get(outcome.fate, "was over before")


def _reds(known: dict[str, Outcome]) -> Iterator[str]:
    red = [each for each in known.values() if each.broken]
    if red:
        yield "## Red cells\n"
        yield "| cell | what did not hold |\n|---|---|"
    for each in red:
        yield f"| {_title(each.cell)} | {_plain('; '.join(each.broken))} |"


def _title(cell: Cell) -> str:
    when = " (amid)" if cell.stop.moment is Moment.AMID else ""
    return f"{cell.course}, `{cell.stop.step.name}`{when}, {cell.fault}"


def _plain(text: str) -> str:
    """Make one cell of a table of what somebody said."""
    return " ".join(text.replace("|", "¦").replace("<", "‹").split())[:600]
