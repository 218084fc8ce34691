# SPDX-License-Identifier: Apache-2.0
"""Runs of flows and commands in processes that can be stopped at a step, killed and read."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from lab import prefect_server, processes
from tests.live.faults.records import Reached, SeenStep, Stop
from tradewind.errors import LateError
from tradewind.waiting import wait_for

ROOT: Final = Path(__file__).parents[3]
# Commands that only look or clean up; a host that is away makes them slow, not endless.
LIMIT: Final = 240.0
VARIABLE: Final = "TRADEWIND_FAULTS"


class Run:
    """One process of the server's, from its start to its exit status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun = time.monotonic()

    @property
    def status(self) -> int | None:
        """The exit status; below zero the signal that ended it, None while it lives."""
        with suppress(FileNotFoundError):
            return int((self.folder / "status").read_text())
        return None

    @property
    def out(self) -> str:
        return self._text("out")

    @property
    def said(self) -> str:
        """What it wrote on standard error, its log included."""
        return self._text("err")

    def _text(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def sentence(self) -> str:
        """The error that a person reads: what stands behind the last line of the log."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        last = max((n for n, line in enumerate(lines) if " | " in line), default=-1)
        return "\n".join(lines[last + 1 :])

    @property
    def steps(self) -> list[SeenStep]:
        """The steps that it has gone through, in order of their ends."""
        lines = self._text("steps").splitlines()
        return [SeenStep.model_validate_json(line) for line in lines]

    def stop_at(self, timeout: float) -> Reached | None:
        """Wait until it comes to its stop; None when it ended before."""

        def arrived() -> bool:
            return (self.folder / "reached").exists() or self.status is not None

        wait_for(arrived, "the process comes to its stop", timeout, every=0.02)
        with suppress(FileNotFoundError):
            return Reached.model_validate_json((self.folder / "reached").read_text())
        return None

    def go(self) -> None:
        """Let it go on from its stop."""
        (self.folder / "go").touch()

    def ended(self, timeout: float) -> bool:
        """Wait for its end; False when it did not come in time."""
        try:
            wait_for(lambda: self.status is not None, "the process ends", timeout, every=0.05)
        except LateError:
            return False
        return True

    def family(self) -> list[int]:
        """List the processes that it has started, and that live still: by their environment."""
        mark = f"{VARIABLE}={self.folder}\0".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in place.read_bytes():
                    found.append(int(place.parent.name))
        return found

    def insist(self) -> None:
        """End it, and all that it has started."""
        processes.end(self.family())
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)


class Server:
    """Forks runs; what they leave is below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: list[Run] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # As on a wide terminal: what is said of a machine stands on one line.
            env={**os.environ, **prefect_server.client_settings(), "COLUMNS": "500"},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def flow(self, name: str, request: Mapping[str, Any], stop: Stop | None = None) -> Run:
        """Start a flow."""
        work = {"module": f"flows.{name}", "flow": name, "request": {**request}}
        return self._start(work, stop)

    def command(self, *words: str, timeout: float = LIMIT) -> Run:
        """Run `tradewind` to its end."""
        run = self._start({"words": words}, None)
        if not run.ended(timeout):
            run.insist()
            raise AssertionError(f"tradewind {' '.join(words)} did not end: {run.said[-2000:]}")
        return run

    def _start(self, work: Mapping[str, Any], stop: Stop | None) -> Run:
        folder = self._folder / f"{len(self._runs) + 1:04}"
        folder.mkdir(parents=True)
        (folder / "work.json").write_text(json.dumps(work))
        if stop is not None:
            (folder / "stop.json").write_text(stop.model_dump_json())
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        self._runs.append(Run(folder))
        return self._runs[-1]

    def end(self) -> None:
        """End the server, and runs that somebody's Ctrl-C has left behind."""
        for run in self._runs:
            if run.status is None:
                run.insist()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Lend a server."""
    lent = Server(folder)
    try:
        yield lent
    finally:
        lent.end()
