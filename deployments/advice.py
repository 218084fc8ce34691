# SPDX-License-Identifier: Apache-2.0
"""What an installation lacks, and what to do."""

from typing import Final

from tradewind.model.record import Record

# Schedules from which on PostgreSQL is advised (docs/operate/controller.md says what was measured).
MANY: Final = 100


class Advice(Record):
    """A setting that should be another, and what to do."""

    what: str
    remedy: str


def outgrown_sqlite(scheduled: int, ledger: str) -> Advice | None:
    """Advise PostgreSQL when many come due and the ledger is a file.

    Prefect's server does not say on what it keeps its own; who moves one moves both.
    """
    if scheduled < MANY or ("://" in ledger and not ledger.startswith("sqlite")):
        return None
    return Advice(
        what=f"{scheduled} transfers have a schedule. SQLite has one writer at a time, in the"
        " ledger and in Prefect's server: with many it keeps them waiting.",
        remedy=f"from {MANY} on, move both to PostgreSQL (docs/operate/controller.md)",
    )
