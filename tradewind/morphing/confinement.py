# SPDX-License-Identifier: Apache-2.0
"""Run a guest's programs in the worker, inside the guest's root and out of everybody's sight.

`guest_runner.py` puts up the walls, anew for each command: a mount name space of its own whose
only root is the guest's (pivot_root, the worker's is unmounted from it); process IDs, IPC, host
name, control groups and, unless it installs, network of its own; a /proc that is read-only as a
whole, a read-only /sys, a /dev with six harmless nodes. Few capabilities are left (files, users,
signals), none can come back, and calls that lead elsewhere are refused (`system_calls.py`). What a
command started ends with it; what it prints is bounded.

What stays open: a command that installs sees the worker's network, abstract sockets included; one
that builds or installs has the guest's own disks as device nodes; all of them have the kernel that
the worker runs on, and its time.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import ChrootAccess
from tradewind.morphing import guest_loader, guest_runner
from tradewind.morphing.system_calls import call_filter
from tradewind.plain_text import printable
from tradewind.ports import Completed, Remote

_SENT: Final = Path(guest_loader.__file__).parent
_SOURCES: Final = b"\0".join(
    (_SENT / name).read_bytes() for name in ("guest_runner.py", "guest_files.py")
)
_LOADER: Final = (_SENT / "guest_loader.py").read_text(encoding="utf-8")
_CALLS: Final = call_filter().hex()
# Where in the worker the compiled form lies; root's alone, and out of the guest's sight.
FOLDER: Final = "/var/lib/tradewind-guest"


def run_inside(
    remote: Remote,
    root: str,
    work: Sequence[str],
    reach: ChrootAccess = ChrootAccess.FILES,
    *,
    stdin: bytes = b"",
    timeout: float = 60,
) -> Completed:
    """Run a program of the guest mounted at `root`, or `files` of ours (`on_files`).

    MorphingError when the worker cannot put up the walls.
    """
    argv = inside(root, work, reach)
    done = remote.run(argv, stdin=stdin, timeout=timeout, check=False)
    if done.status == guest_loader.NOT_PLACED and done.stderr == guest_loader.WORDS:
        remote.run(_started(), stdin=_SOURCES)
        done = remote.run(argv, stdin=stdin, timeout=timeout, check=False)
    if done.status == guest_runner.NOT_BEGUN and done.stderr.startswith(guest_runner.WORDS):
        raise MorphingError(
            printable(done.stderr),
            "the worker image needs a kernel with name spaces and seccomp, as distributions' are",
        )
    return done


def on_files(*arguments: str) -> tuple[str, ...]:
    """Return what `guest_files.py` shall do, without any program of the guest."""
    return ("files", *arguments)


def program(*argv: str) -> tuple[str, ...]:
    """Return which program of the guest is run."""
    return ("program", *argv)


def inside(root: str, work: Sequence[str], reach: ChrootAccess = ChrootAccess.FILES) -> list[str]:
    """Return how something is run in the guest, after `run_inside` has been used once."""
    return [*_started(), root, reach.value, _CALLS, *work]


def _started() -> list[str]:
    place = f"{FOLDER}/{hashlib.sha256(_SOURCES).hexdigest()[:16]}"
    return ["python3", "-I", "-S", "-c", _LOADER, place]
