# SPDX-License-Identifier: Apache-2.0
"""What a crashed run leaves on a host."""

from enum import StrEnum

from tradewind.model.record import Record


class LeftoverKind(StrEnum):
    """What sort of thing was left."""

    BACKUP_JOB = "backup job"
    DOMAIN = "domain"
    VOLUME = "volume"
    FOLDER = "folder"


class Leftover(Record):
    """One thing that a run made; `place` is the pool of a volume."""

    kind: LeftoverKind
    run: str
    name: str
    place: str = ""

    def __str__(self) -> str:
        """Say it in the report."""
        return f"{self.kind} {self.name}" + (f" in pool {self.place}" if self.place else "")
