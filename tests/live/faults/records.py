# SPDX-License-Identifier: Apache-2.0
"""What the matrix is made of: steps that were seen, cells, and what came of them."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Record):
    """A step of a flow by the name it was declared with; `turn` counts from 1 in one process."""

    flow: str
    name: str
    turn: int = 1

    def __str__(self) -> str:
        again = f" ({self.turn})" if self.turn > 1 else ""
        return f"{self.flow}: {self.name}{again}"


class SeenStep(_Record):
    """A step of a run that went well: how long it took, and which guests had a QEMU as it began."""

    step: Step
    seconds: float
    guests: tuple[str, ...]


class Moment(StrEnum):
    """When in a step the fault comes."""

    BEFORE = "before"
    AMID = "amid"


class Stop(_Record):
    """Where a flow's process lets itself be hurt; `delay` is seconds into the step."""

    step: Step
    moment: Moment = Moment.BEFORE
    delay: float = 0.0


class Reached(_Record):
    """The process that has come to its stop."""

    pid: int


class Cell(_Record):
    """One fault at one stop of a course."""

    course: str
    stop: Stop
    fault: str

    @property
    def title(self) -> str:
        """Name it for a person, and for `--only`."""
        return f"{self.course} / {self.stop.step} / {self.stop.moment} / {self.fault}"


class Fate(StrEnum):
    """What became of the run that was hurt."""

    ENDED_WELL = "ended well"
    FAILED = "failed"
    DIED = "died"
    NOT_HURT = "not hurt"


class Outcome(_Record):
    """What came of a cell: `broken` are the promises that did not hold; none is green."""

    cell: Cell
    fate: Fate
    broken: tuple[str, ...] = ()
    said: str = ""
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0
    seconds_to_end: float = 0.0
    commit: str = ""
    moment: datetime

    @property
    def green(self) -> bool:
        """Say whether every promise was kept."""
        return not self.broken
