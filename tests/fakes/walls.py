# SPDX-License-Identifier: Apache-2.0
"""A guest's root on the programs of whatever machine this is, and the attempts to leave it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import escape_attempts, escape_target
from tradewind.model.guest import ChrootAccess
from tradewind.morphing.confinement import program, run_inside
from tradewind.ports import Remote
from tradewind.waiting import wait_for

_BUILD = """
set -e
mkdir -p "$1"
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir usr proc sys dev run etc tmp root
mount --bind /usr usr
mount -o remount,bind,ro usr
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
"""
_TAKE_DOWN = 'umount -R "$1" && rmdir "$1"'
_START = 'setsid python3 "$1" "$2" >/dev/null 2>&1 </dev/null & echo'
_SCRIPT = "/tmp/escape_attempts.py"


@contextlib.contextmanager
def root_lent(remote: Remote, root: str) -> Iterator[str]:
    """Lend a root that has /usr of this machine, read-only, and nothing else of it."""
    remote.run(["sh", "-c", _BUILD, "sh", root])
    try:
        remote.write(root + _SCRIPT, Path(escape_attempts.__file__).read_bytes())
        yield root
    finally:
        remote.run(["sh", "-c", _TAKE_DOWN, "sh", root])


@dataclass(frozen=True, slots=True)
class Target:
    """What is outside: a file, a process, an abstract socket, a port."""

    marker: str
    process: str
    abstract: str
    port: str


@contextlib.contextmanager
def target_lent(remote: Remote, folder: str) -> Iterator[Target]:
    """Lend something outside that must not be reached."""
    marker, script, told = (f"{folder}/{name}" for name in ("outside", "target.py", "told"))
    remote.write(marker, b"the worker's own")
    remote.write(script, Path(escape_target.__file__).read_bytes())
    remote.run(["rm", "-f", told])
    remote.run(["sh", "-c", _START, "sh", script, told])

    def there() -> bool:
        return remote.run(["test", "-e", told], check=False).status == 0

    wait_for(there, "the target listens", 60, every=0.2)
    process, abstract, port = remote.run(["cat", told]).stdout.split()
    try:
        yield Target(marker, process, abstract, port)
    finally:
        remote.run(["kill", process])
        remote.run(["rm", "-f", marker, script, told])


def attempts(remote: Remote, root: str, target: Target, reach: ChrootAccess) -> dict[str, str]:
    """Say for each way out whether it is closed."""
    words = (target.marker, target.process, target.abstract, target.port)
    work = program("SECRET_OF=nobody", "python3", _SCRIPT, *words)
    tried = run_inside(remote, root, work, reach, timeout=300)
    assert tried.status == 0, tried.stderr
    return dict(line.split("\t", 1) for line in tried.stdout.splitlines())
