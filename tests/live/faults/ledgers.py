# SPDX-License-Identifier: Apache-2.0
"""What the ledger of the matrix says, read past Tradewind."""

import sqlite3
from contextlib import closing
from typing import Any

from tests.live.faults.scene import LEDGER


def _rows(query: str, *values: str) -> list[Any]:
    if not LEDGER.exists():
        return []
    with closing(sqlite3.connect(f"file:{LEDGER}?mode=ro", uri=True, timeout=30)) as ledger:
        try:
            return ledger.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # a run that was ended before it made its tables
            return []


def volumes() -> frozenset[str]:
    """Name the replicas' volumes."""
    return frozenset(name for (name,) in _rows("SELECT volume FROM disk"))


def volumes_of(machine: str) -> dict[str, str]:
    """Name the volume of each disk of a machine."""
    joined = "disk JOIN transfer ON transfer.id = disk.transfer_id WHERE machine_name = ?"
    return dict(_rows(f"SELECT disk_id, volume FROM {joined}", machine))  # noqa: S608 - ours


def last_is_completed() -> bool:
    """Say whether the run that began last ended well."""
    return _rows("SELECT state FROM run ORDER BY begun DESC LIMIT 1") == [("completed",)]
