# SPDX-License-Identifier: Apache-2.0
"""What a shell completes: asked of a server of our own, and nothing at all where that fails."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.ssh_server import free_port

STORED = [
    {"name": "web01-from-old-to-new", "parameters": {"request": {"machine": "web01"}}},
    {"name": "nightly", "parameters": {"request": {"machines": {}}}},
]
BLOCKS = {
    "tradewind-libvirt-endpoint": ["old", "new"],
    "tradewind-disk-images": ["exported"],
    "tradewind-provider-options": ["default"],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    place = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE transfer (machine_name TEXT)")
        database.executemany("INSERT INTO transfer VALUES (?)", [("db01",), ("db01",), ("web01",)])
    return place


@pytest.fixture
def server(ledger: Path) -> Iterator[str]:
    """Answer as Prefect's API does (3.8); its URL."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, _, slug, *rest = self.path.partition("?")[0].split("/")[1:]
            if rest[-1] == "block_documents":
                self._say([{"name": name} for name in BLOCKS[slug]])
            else:
                self._say({"data": {"sqlite_database_file": str(ledger)}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(STORED)

        def _say(self, what: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(what).encode())

        def log_message(self, *_said: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{answering.server_port}/api"
        answering.shutdown()


def completed(url: str, line: str, *options: str) -> tuple[list[str], str]:
    """Press the key in bash, at the end of a line: what is offered, and what else is said."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    said = subprocess.run(
        [sys.executable, *options, "-c", "import cli.main; cli.main.app(prog_name='tradewind')"],
        env=os.environ | words | {"PREFECT_API_URL": url, "_TRADEWIND_COMPLETE": "complete_bash"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.split(), said.stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tradewind endpoint show ", ["new", "old"]),
        ("tradewind images remove e", ["exported"]),
        ("tradewind options show --name ", ["default"]),
        ("tradewind transfer create web --from o", ["old"]),
        ("tradewind transfer create web --from ", ["exported", "new", "old"]),
        ("tradewind schedule pause n", ["nightly"]),
        ("tradewind transfer run web", ["web01", "web01-from-old-to-new"]),
        ("tradewind deploy ", ["db01", "web01"]),
    ],
)
def test_names_that_are_stored_are_completed(server: str, line: str, offered: list[str]) -> None:
    found, said = completed(server, line)
    assert (sorted(found), said) == (offered, "")


def test_a_server_that_is_away_completes_to_nothing() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/api"
    assert completed(nowhere, "tradewind schedule pause ") == ([], "")
    assert completed("", "tradewind deploy ") == ([], "")


def test_to_complete_makes_no_ledger(server: str, ledger: Path) -> None:
    ledger.unlink()
    assert completed(server, "tradewind deploy w") == (["web01"], "")
    assert not ledger.exists()


def test_to_complete_imports_nothing_that_takes_long(server: str) -> None:
    found, imported = completed(server, "tradewind schedule pause n", "-X", "importtime")
    assert found == ["nightly"]
    slow = ("prefect", "sqlmodel", "sqlalchemy", "libvirt", "paramiko", "cli.commands.move")
    names = {line.rpartition("|")[2].strip() for line in imported.splitlines()}
    assert not names.intersection(slow)
