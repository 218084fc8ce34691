# SPDX-License-Identifier: Apache-2.0
"""Prefect's own server for flow tests: the real API on SQLite, with nothing running beside it.

Not `prefect.testing.utilities`: to import it takes four seconds in each test process, and the
server that it starts makes all tables anew each time, which takes eight.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import prefect

from tests.fakes.ssh_server import free_port
from tradewind.waiting import wait_for

_START_TIMEOUT: Final = 120
# The tables of this version, without a row: kept for the next session.
_TABLES: Final = Path(__file__).parents[2] / "build" / f"prefect-{prefect.__version__}.sqlite"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server's API answers, and the file in which it keeps everything."""

    url: str
    database: Path


@contextmanager
def running(folder: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Lend a server; its database in `folder` begins empty."""
    database = folder / "prefect.sqlite"
    if _TABLES.exists():
        shutil.copy(_TABLES, database)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    # What `prefect server start` runs in the end; without a UI.
    argv = [
        sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
        "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PYTHONTZPATH": "",  # deployments/settings/server.env says why
        **settings,
    }
    with subprocess.Popen(argv, env=environment) as server:
        try:
            wait_for(
                lambda: _is_healthy(url), "Prefect's server answers", _START_TIMEOUT, every=0.2
            )
            if not _TABLES.exists():
                _keep_tables(database)
            yield Server(url, database)
        finally:
            server.terminate()


def _is_healthy(url: str) -> bool:
    with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/health") as said:
        return bool(said.status == 200)
    return False


def _keep_tables(database: Path) -> None:
    """Copy the database by SQLite's own backup, and put it in place in one move."""
    _TABLES.parent.mkdir(exist_ok=True)
    copy = _TABLES.with_suffix(f".{os.getpid()}")
    with closing(sqlite3.connect(database)) as made, closing(sqlite3.connect(copy)) as kept:
        made.backup(kept)
    copy.rename(_TABLES)
