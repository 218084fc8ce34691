# SPDX-License-Identifier: Apache-2.0
"""Run one program with a time limit, and end whatever it started: sent to the worker as it is.

    python3 script_runner.py SECONDS MOST_OUTPUT PROGRAM [ARGUMENT…]

Prints the end of what the program printed, at most MOST_OUTPUT bytes of it, and ends with the
program's status (128 and more: ended by a signal), or with 124 when the time limit ended it.
Only the standard library of Python 3.6: nothing else may be assumed of a worker.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LATE = 124
_CHILD_SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER
_MERCY = 2.0  # seconds between the request to end and the end


class _End:
    """The last bytes that a stream gave."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept = b""

    def read(self, stream: int) -> None:
        """Read until nothing can write there any more."""
        while True:
            chunk = os.read(stream, 65536)
            if not chunk:
                return
            self.kept = (self.kept + chunk)[-self._most :]


def children() -> "list[int]":
    """List this process's children; orphans of the program become children of ours."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it may end meanwhile
                text = (process / "stat").read_text(encoding="ascii", errors="replace")
                # The program's name, in brackets, may have spaces and brackets itself.
                if int(text.rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(process.name))
    return found


def end_all(number: int) -> None:
    """Send every child a signal, its own process group included."""
    for pid in children():
        for send in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                send(pid, number)


def reap() -> None:
    """Take leave of the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_descendants() -> None:
    """End all that is left: politely first, then not; orphans come up one generation at a time."""
    end_all(signal.SIGTERM)
    deadline = time.monotonic() + _MERCY
    while children() and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    while children():
        end_all(signal.SIGKILL)
        reap()
        time.sleep(0.02)


def main(limit: float, most: int, argv: "list[str]") -> int:
    """Run the program, print the end of its output, and return its status."""
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    reading, writing = os.pipe()
    end = _End(most)
    reader = threading.Thread(target=end.read, args=(reading,), daemon=True)
    reader.start()
    program = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, start_new_session=True
    )
    os.close(writing)
    try:
        status = program.wait(limit)
    except subprocess.TimeoutExpired:
        status = LATE
    end_descendants()
    reader.join(5)
    sys.stdout.buffer.write(end.kept)
    sys.stdout.flush()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
