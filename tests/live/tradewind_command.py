# SPDX-License-Identifier: Apache-2.0
"""The `tradewind` command in a process of its own: what can be killed, measured and read."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import prefect_server, site
from tradewind.model.report import DeployReport, TransferReport

COMMAND = Path(sys.executable).with_name("tradewind")
TIMEOUT = 900


def program(argv: Sequence[str]) -> subprocess.Popen[str]:
    """Start a program that knows the lab's Prefect server."""
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **prefect_server.client_settings()},
    )


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str


class Tradewind:
    """Runs the command against the lab's Prefect server."""

    def start(self, *words: str) -> subprocess.Popen[str]:
        return program([str(COMMAND), *words])

    def run(self, *words: str) -> Ended:
        with self.start(*words) as process:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        return Ended(process.returncode, stdout, stderr)

    def transfer(self, machine: str, *more: str, source: str = site.SOURCE) -> TransferReport:
        ended = self.run(*self.transfer_words(machine, *more, source=source))
        assert ended.status == 0, ended.stderr[-4000:]
        return TransferReport.model_validate_json(ended.stdout)

    def transfer_words(
        self, machine: str, *more: str, source: str = site.SOURCE
    ) -> tuple[str, ...]:
        ends = ("--from", source, "--to", site.DESTINATION)
        return ("transfer", "run", machine, *ends, "--json", *more)

    def kill_while_streaming(self, machine: str, seconds: float = 1.0) -> None:
        """Kill a transfer's process a little after its first byte may have been written."""
        with self.start(*self.transfer_words(machine)) as process:
            wait_for_line(process, f"mark-written-{machine}", 300)
            time.sleep(seconds)
            process.kill()
            process.communicate()

    def deploy(self, machine: str, *more: str, source: str = site.SOURCE) -> DeployReport:
        words = ("deploy", machine, "--from", source, "--to", site.DESTINATION, "--json")
        ended = self.run(*words, *more)
        assert ended.status == 0, ended.stderr[-4000:]
        return DeployReport.model_validate_json(ended.stdout)


def wait_for_line(process: subprocess.Popen[str], text: str, timeout: float) -> None:
    """Read the process's log until a line contains the text."""
    assert process.stderr is not None
    deadline = time.monotonic() + timeout
    seen = []
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        if not line:
            break
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"“{text}” did not appear in:\n{''.join(seen[-30:])}")
