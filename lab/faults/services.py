# SPDX-License-Identifier: Apache-2.0
"""Take Prefect's server away, or the ledger's database."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import prefect_server
from lab.errors import LabError


@contextmanager
def api_gone() -> Iterator[None]:
    """End Prefect's server, as a restart of its machine does, and start it where it was."""
    prefect_server.end()
    try:
        yield
    finally:
        prefect_server.start(again=True)


@contextmanager
def api_hanging() -> Iterator[None]:
    """Stop Prefect's server: connections are taken and never answered."""
    pid = prefect_server.pid()
    if pid is None:
        raise LabError("Prefect's server does not run")
    pids = [pid, *prefect_server.children(pid)]
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def ledger_gone(database: Path) -> Iterator[None]:
    """Put a file where the folder of a SQLite ledger was: as when its file system is not there."""
    away = database.parent.with_suffix(".away")
    database.parent.rename(away)
    database.parent.touch()
    try:
        yield
    finally:
        database.parent.unlink()
        away.rename(database.parent)


@contextmanager
def ledger_locked(database: Path) -> Iterator[None]:
    """Hold the lock of a SQLite ledger, as a copy that is being made of it does."""
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


def mend(database: Path) -> None:
    """Have both back, whoever has taken them away."""
    away = database.parent.with_suffix(".away")
    if away.exists():
        database.parent.unlink(missing_ok=True)
        away.rename(database.parent)
    pid = prefect_server.pid()
    if pid is None:
        prefect_server.start(again=True)
    else:
        _signal([pid, *prefect_server.children(pid)], signal.SIGCONT)
