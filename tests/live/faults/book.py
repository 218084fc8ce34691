# SPDX-License-Identifier: Apache-2.0
"""What came of each cell when it was tried last, in docs/reliability.jsonl: hours of results.

Steps and what is made on the way are in build/faults.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.live.faults.processes import ROOT
from tests.live.faults.records import Cell, Outcome, SeenStep

FOLDER: Final = ROOT / "build" / "faults"
RESULTS: Final = ROOT / "docs" / "reliability.jsonl"
"""One outcome in each line, in the order in which the cells were tried first."""


@cache
def commit() -> str:
    """Name the commit that is checked out; a plus says that files differ from it.

    But for the documents: the results of these very cells are among them.
    """
    found = git("describe", "--always", "--abbrev=10", "--exclude=*")
    differs = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return f"{found}{'+' if differs else ''}" or "no commit"


def git(*words: str) -> str:
    """Ask git about the checkout; empty where there is none, as in an archive of the sources."""
    done = subprocess.run(["git", *words], cwd=ROOT, text=True, check=False, capture_output=True)
    return done.stdout.strip()


def _steps_file(course: str) -> Path:
    """Name the file of a course's steps: they are as flows and tasks are."""
    trees = git("rev-parse", "HEAD:flows", "HEAD:tasks")
    return FOLDER / "steps" / f"{course}-{hashlib.sha256(trees.encode()).hexdigest()[:10]}.json"


def steps(course: str) -> list[SeenStep]:
    """Return the steps that were seen of a course; none when it has to be run once."""
    file = _steps_file(course)
    if not file.exists():
        return []
    return [SeenStep.model_validate(each) for each in json.loads(file.read_text())]


def keep_steps(course: str, seen: Sequence[SeenStep]) -> None:
    """Remember the steps of a run that went well."""
    _write(_steps_file(course), json.dumps([each.model_dump(mode="json") for each in seen]))


def keep(outcome: Outcome) -> None:
    """Remember what came of a cell; what came of it before is forgotten.

    Of what a run said only what shows a broken promise is kept.
    """
    kept = outcome.model_copy(update={"said": ""}) if outcome.green else outcome
    known = {**newest(), outcome.cell.title: kept}
    lines = (each.model_dump_json(exclude_defaults=True) for each in known.values())
    _write(RESULTS, "\n".join(lines))


def newest() -> dict[str, Outcome]:
    """Return what came of each cell when it was tried last, by its title."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else ()
    found = (Outcome.model_validate_json(line) for line in lines)
    return {outcome.cell.title: outcome for outcome in found}


def is_tried(cell: Cell, known: dict[str, Outcome], at: str) -> bool:
    """Say whether a cell has been tried at a commit."""
    found = known.get(cell.title)
    return found is not None and found.commit == at


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(f"{text}\n")
    unfinished.replace(file)
