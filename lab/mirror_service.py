# SPDX-License-Identifier: Apache-2.0
"""Start and end the package mirror."""

import sys
from contextlib import suppress
from pathlib import Path

from lab import mirror, processes, settings
from lab.commands import call
from lab.errors import LabError

URL = f"http://{settings.CONTROLLER}:{settings.MIRROR_PORT}"

_PID_FILE = settings.state_folder / "mirror.pid"


def start() -> None:
    """Serve `settings.mirror_folder`, whatever is in it, unless that is done already."""
    if pid() is not None:
        return
    settings.mirror_folder.mkdir(parents=True, exist_ok=True)
    where = [settings.mirror_folder, settings.CONTROLLER, settings.MIRROR_PORT]
    log = settings.state_folder / "mirror.log"
    program = [sys.executable, "-I", mirror.__file__, *map(str, [*where, _PID_FILE, log])]
    done = call(["setsid", "--fork", *program])
    if pid() is None:
        raise LabError(f"the package mirror could not be started at {URL}: {done.stderr.strip()}")


def pid() -> int | None:
    """Return the mirror's process, if it lives."""
    with suppress(OSError, ValueError):
        found = int(_PID_FILE.read_text())
        if str(_PID_FILE) in Path("/proc", str(found), "cmdline").read_text().split("\0"):
            return found
    return None


def end() -> None:
    """End the mirror."""
    found = pid()
    if found is not None:
        processes.end([found])
