# SPDX-License-Identifier: Apache-2.0
"""An operator's own scripts: what is asked for, and what came of it."""

import re
from enum import StrEnum
from typing import Final, Self

from pydantic import Field, model_validator

from tradewind.errors import OptionError
from tradewind.model.record import Record

# The last line that the unit of a script for the first boot prints: systemd's word for the result,
# and the script's exit status (systemd.exec(5), $SERVICE_RESULT and $EXIT_STATUS).
FIRST_BOOT_ENDED: Final = "tradewind-first-boot-ended"

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class ScriptPhase(StrEnum):
    """When a script runs, and where."""

    BEFORE_MOUNT = "before mount"
    AFTER_MOUNT = "after mount"
    FIRST_BOOT = "first boot"

    @property
    def folder(self) -> str:
        """Name the folder of a scripts folder that holds scripts of this phase."""
        return self.value.replace(" ", "-")


class Script(Record):
    """A script for one machine: a file of the machine that runs the flow, or its text."""

    phase: ScriptPhase = Field(
        title="Phase",
        description="before mount: in the worker, the guest's disks attached; after mount: in "
        "the guest, before its first boot; first boot: in the guest, once it has booted.",
    )
    path: str | None = Field(
        None, title="File", description="On the machine that runs the flow (the Prefect worker)."
    )
    text: str | None = Field(
        None,
        title="Text",
        description="The script itself. No secrets: Prefect shows parameters to everybody.",
    )
    name: str = Field("", title="Name", description="For the report. Left empty: the file's.")
    time_limit: int = Field(
        300, ge=1, le=24 * 3600, title="Time limit", description="Seconds; then it is ended."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.text is None):
            raise OptionError(
                f"scripts: script {self.called} has {'both' if self.path else 'neither'} a file"
                f" {'and' if self.path else 'nor'} a text",
                "give it one of path and text",
            )
        return self

    @property
    def called(self) -> str:
        """Name it for a file and a report."""
        name = self.name or (self.path or "").rpartition("/")[2] or "script"
        return _UNSAFE.sub("_", name)[:60]


class LoadedScript(Record):
    """A script whose text was read; `scope` is the folder it came from, empty for one machine's.

    Scopes are "linux", a family ("red-hat") or a distribution ("ubuntu").
    """

    phase: ScriptPhase
    name: str
    text: str
    time_limit: int
    scope: str = ""


class ScriptReport(Record):
    """What came of a script; `status` is its exit status, None when that is not known.

    `output` is the end of what it printed.
    """

    name: str
    phase: ScriptPhase
    status: int | None
    output: str
    seconds: float
    late: bool = False

    @property
    def failed(self) -> bool:
        """Whether it ended badly, as far as is known."""
        return self.late or self.status not in (0, None)

    @property
    def outcome(self) -> str:
        """Say in a word how it ended."""
        if self.late:
            return "ended at its time limit"
        if self.status is None:
            return "not known"
        return "done" if self.status == 0 else f"failed with status {self.status}"


class FirstBootScript(Record):
    """A script that was left in the guest, and the unit that runs it once."""

    name: str
    unit: str
    time_limit: int
