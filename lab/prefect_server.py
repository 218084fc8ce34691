# SPDX-License-Identifier: Apache-2.0
"""Prefect's embedded server (SQLite) for as long as the lab lives."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Final

from lab import processes, settings
from lab.errors import LabError
from tradewind.host.boot import evidence

HOST: Final = "127.0.0.1"
PORTS: Final = range(4200, 4220)
START_TIMEOUT: Final = 120

_HOME: Final = settings.state_folder / "prefect"
_PID_FILE: Final = _HOME / "server.pid"
_PORT_FILE: Final = _HOME / "server.port"
_LOG: Final = _HOME / "server.log"


def start(*, again: bool = False) -> str:
    """Start the server unless it runs, and return the URL of its UI; `again` at the same one."""
    if pid() is None:
        _HOME.mkdir(parents=True, exist_ok=True)
        # Connections that were cut keep a port from whoever asks for any; uvicorn takes it.
        port = int(_PORT_FILE.read_text()) if again else _free_port()
        _PORT_FILE.write_text(str(port))
        with _LOG.open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", HOST],
                env={**os.environ, **_server_settings(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_HOME,
                start_new_session=True,
            )
        _PID_FILE.write_text(str(server.pid))
        _wait_until_healthy(port, server)
    return ui_url()


def ui_url() -> str:
    """Where a person looks."""
    return f"http://{HOST}:{_PORT_FILE.read_text()}"


def client_settings() -> dict[str, str]:
    """Environment variables that make flows use this server, and keep nothing outside the lab."""
    return {
        "PREFECT_HOME": str(_HOME),
        evidence.VARIABLE: str(settings.state_folder / "evidence"),
        "PREFECT_API_URL": f"{ui_url()}/api",
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "INFO"),
    }


def pid() -> int | None:
    """Return the server's process, if it lives."""
    with suppress(OSError, ValueError):
        found = int(_PID_FILE.read_text())
        if "prefect" in Path("/proc", str(found), "cmdline").read_text():
            return found
    return None


def end() -> None:
    """End the server and the services that it started."""
    found = pid()
    if found is not None:
        processes.end([found, *children(found)])
    _PID_FILE.unlink(missing_ok=True)


def children(parent: int) -> list[int]:
    """List the processes below one."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    found = [int(word) for word in listed.read_text().split()] if listed.exists() else []
    return [pid for child in found for pid in (child, *children(child))]


def _server_settings(port: int) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(_HOME),
        # `--port` alone leaves the UI looking for its API on port 4200.
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Leases in memory would crash healthy runs when the server is restarted.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
    }


def _free_port() -> int:
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise LabError(f"no port of {PORTS.start} to {PORTS.stop - 1} is free on {HOST}")


def _wait_until_healthy(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with suppress(urllib.error.URLError, OSError):
            url = f"http://{HOST}:{port}/api/health"
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.5)
    said = _LOG.read_text(errors="replace")[-2000:]
    raise LabError(f"Prefect's server did not start; it said last:\n{said}")
