# SPDX-License-Identifier: Apache-2.0
"""What is written beside a replica volume, on its host: whose it is, and what was last done to it.

The ledger may be another one, or of yesterday; this is what the volume itself can say.
"""

from datetime import datetime
from enum import StrEnum

from tradewind.model.record import Record


class WitnessState(StrEnum):
    """What a volume holds; a GIVEN one belongs to the machine that was deployed onto it."""

    BLANK = "blank"
    WRITING = "being written"
    COMPLETE = "complete"
    GIVEN = "given to a machine"


class Witness(Record):
    """Whose a volume is; `generation` counts the writings, and `run` is the last one's."""

    transfer: str
    pool: str
    volume: str
    generation: int
    run: str
    state: WitnessState
    at: datetime

    def __str__(self) -> str:
        """Say it in a message."""
        when = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"generation {self.generation}, {self.state}, by run {self.run} at {when}"
