# SPDX-License-Identifier: Apache-2.0
"""A Prefect server as an operator runs it: on PostgreSQL, with a password, with our settings.

Everything is run by command, in processes of their own: this test session's own Prefect is the
lab's.
"""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from lab import site
from lab.records import Lab
from tests.live.postgres import Postgres

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
LEASE_SECONDS = 30  # Prefect takes no less
T = TypeVar("T")


class Controller:
    """A server that can be stopped and started, and what is run against it."""

    def __init__(self, folder: Path, database: Postgres) -> None:
        self.folder, self.database = folder, database
        self.auth = f"tradewind:{secrets.token_urlsafe(9)}"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        # What clients and workers find in their environment besides.
        self.more: Mapping[str, str] = {}
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        database = self.database.url("asyncpg", "prefect", password=True)
        environment = {
            **_clean(),
            **_settings("server"),
            "PREFECT_HOME": str(self.folder / "server"),
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_SERVER_API_AUTH_STRING": self.auth,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": str(LEASE_SECONDS),
        }
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [PROGRAMS / "prefect", "server", "start"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_for(self._answers, "the server answers", 120)

    def stop(self) -> None:
        """Stop the server as systemd does, with what it has started."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGTERM)
        self._server.wait(60)

    def environment(self, home: str = "client", *, auth: bool = True) -> dict[str, str]:
        """Give the environment of a client or worker; without `auth` it does not say who it is."""
        return {
            **_clean(),
            **_settings("worker"),
            "PREFECT_HOME": str(self.folder / home),
            "PREFECT_API_URL": self.url,
            "TRADEWIND_HOME": str(ROOT),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # Prefect takes no less
            "PGPASSFILE": str(self.database.password_file),
            **({"PREFECT_API_AUTH_STRING": self.auth} if auth else {}),
            **self.more,
        }

    def run(self, *words: str, auth: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of the checkout's environment to its end."""
        program, *rest = words
        return subprocess.run(
            [PROGRAMS / program, *rest],
            env=self.environment(auth=auth),
            cwd=ROOT,
            text=True,
            check=False,
            capture_output=True,
            timeout=300,
        )

    def tradewind(self, *words: str) -> str:
        """Run `tradewind`, which has to end well, and return what it printed."""
        done = self.run("tradewind", *words)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def store_site(self, lab: Lab) -> None:
        """Store the lab's endpoints and options by command; the ledger's URL has no password."""
        for name, host in ((site.SOURCE, lab.source), (site.DESTINATION, lab.destination)):
            reached = ("--host", host.address, "--username", host.username)
            pinned = ("--host-key", host.host_key, "--key", str(host.key_path))
            self.tradewind("endpoint", "add", name, *reached, *pinned, "--replace")
        ledger = self.database.url("psycopg", "ledger")
        chosen = {**site.options(), "sqlite_database_file": ledger}
        self.tradewind("options", "set", *(f"{name}={value}" for name, value in chosen.items()))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API, as curl does."""
        status, answer = self.ask(method, path, body)
        assert status < 400, answer
        return answer

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the API, and return status and answer whatever they are."""
        who = base64.b64encode(self.auth.encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {who}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", data=content, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                said = answer.read()
                return answer.status, json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def start_run(self, deployment: str, parameters: Any) -> str:
        """Ask for a run, and return its id."""
        found = self.call("GET", f"/deployments/name/{deployment}")["id"]
        path = f"/deployments/{found}/create_flow_run"
        return str(self.call("POST", path, {"parameters": parameters})["id"])

    def state(self, run: str) -> str:
        """Name the state of a run; nothing while the server is away."""
        with suppress(urllib.error.URLError, ConnectionError):
            return str(self.call("GET", f"/flow_runs/{run}")["state"]["name"])
        return ""

    def runs(self, flow: str) -> list[Any]:
        """List the runs of a flow."""
        chosen = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        found: list[Any] = self.call("POST", "/flow_runs/filter", chosen)
        return found

    @contextmanager
    def worker(self, name: str, limit: int = 2) -> Iterator["subprocess.Popen[bytes]"]:
        """Lend a worker on a machine of this name, with a home and an identity of its own."""
        identity = self.folder / f"{name}.machine-id"
        identity.write_text(f"{secrets.token_hex(16)}\n")
        enter = f'hostname {name}; mount --bind {identity} /etc/machine-id; exec "$@"'
        argv = ["unshare", "--uts", "--mount", "sh", "-c", enter, "sh"]
        program = [str(PROGRAMS / "prefect"), "worker", "start", "--pool", "tradewind"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*argv, *program, "--name", name, "--limit", str(limit)],
                env=self.environment(name),
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        try:
            yield process
        finally:
            kill(process)

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "server.log").read_text()[-4000:]
        with suppress(urllib.error.URLError, ConnectionError):
            return self.ask("GET", "/version")[0] == 200
        return False


def children(pid: int) -> list[int]:
    """List the processes below one."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(word) for word in listed.read_text().split()] if listed.exists() else []
    return [each for child in found for each in (child, *children(child))]


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Cut a machine's power: a worker and all that it has started are gone at once."""
    if process.poll() is None:
        for pid in (process.pid, *children(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)


def wait_for(condition: Callable[[], T], what: str, timeout: float) -> T:
    """Return what a condition comes to as soon as it is true."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {timeout} s: {what}")


def _settings(role: str) -> dict[str, str]:
    """Read what `tradewind settings` prints, as systemd would."""
    printed = subprocess.run(
        [PROGRAMS / "tradewind", "settings", role], text=True, check=True, capture_output=True
    ).stdout
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
