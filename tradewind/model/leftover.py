# SPDX-License-Identifier: Apache-2.0
"""What a crashed run leaves on a host."""

from enum import StrEnum

from tradewind.model.record import Record


class LeftoverKind(StrEnum):
    """What sort of thing was left."""

    FREEZE = "frozen guest"
    BACKUP_JOB = "backup job"
    CHECKPOINT = "checkpoint"
    DOMAIN = "domain"
    TWIN = "twin"
    NETWORK = "network"
    VOLUME = "volume"
    FOLDER = "folder"
    WITNESS = "witness"


class Leftover(Record):
    """One thing that a run made; `place` is the pool of a volume, the domain of a checkpoint."""

    kind: LeftoverKind
    run: str
    name: str
    place: str = ""

    def __str__(self) -> str:
        """Say it in the report."""
        word = "of" if self.kind is LeftoverKind.CHECKPOINT else "in pool"
        return f"{self.kind} {self.name}" + (f" {word} {self.place}" if self.place else "")
