# SPDX-License-Identifier: Apache-2.0
"""Private folders for keys and sockets; what a killed process leaves of them does not stay.

    <temp>/tradewind-<process>-<random>/     one for each process, mode 0700
        lock                                 held by it for as long as it lives
        <random>/key, ssh, nbd.sock, …       lent, and gone when they are given back

The kernel lets go of a lock however its owner dies; a process number may be another's by then, or
of another PID namespace. So the next process that needs such a folder removes those that nobody
holds.

They are below the folder for temporary files (TMPDIR): /run is mounted noexec by Debian, and the
OpenSSH client is started by a script that lies here; XDG_RUNTIME_DIR is emptied when its user logs
out, under a flow that still runs.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"


@dataclass(slots=True)
class _Own:
    """This process's folder, the descriptor that holds its lock, and how many are lent from it."""

    folder: Path
    lock: int
    lent: int = 0


_changing = threading.Lock()
# By process, since a fork has a copy of this, and by TMPDIR.
_own: Final[dict[tuple[int, str], _Own]] = {}


@contextmanager
def private_folder() -> Iterator[Path]:
    """Lend an empty folder that only this account can look into."""
    place = os.getpid(), tempfile.gettempdir()
    own = _take(place)
    try:
        with tempfile.TemporaryDirectory(prefix="", dir=own.folder) as name:
            yield Path(name)
    finally:
        _give_back(place, own)


def remove_abandoned() -> None:
    """Remove the folders of processes that are gone; only this account's own."""
    for folder in Path(tempfile.gettempdir()).glob("tradewind-[0-9]*-*"):
        with suppress(FileNotFoundError):  # another process removes it at this moment
            if folder.lstat().st_uid == os.geteuid() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _take(place: tuple[int, str]) -> _Own:
    with _changing:
        if place not in _own:
            remove_abandoned()
            _own[place] = _make()
        _own[place].lent += 1
        return _own[place]


def _give_back(place: tuple[int, str], own: _Own) -> None:
    """Take the folder away with the last that was lent from it; in a fork it is another's."""
    with _changing:
        own.lent -= 1
        if not own.lent and os.getpid() == place[0]:
            shutil.rmtree(own.folder, ignore_errors=True)
            os.close(own.lock)
            del _own[place]


def _make() -> _Own:
    """Make the folder; it gets the name by which it can be found once its lock is held."""
    made = Path(tempfile.mkdtemp(prefix=".tradewind-"))
    lock = os.open(made / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return _Own(made.rename(made.with_name(f"tradewind-{os.getpid()}-{made.name[-8:]}")), lock)


def _is_abandoned(folder: Path) -> bool:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
