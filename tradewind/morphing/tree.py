# SPDX-License-Identifier: Apache-2.0
"""The guest's files and commands, through a shell in the worker.

Everything happens inside the guest's root (`confinement.py`), where its symbolic links cannot lead
out. A command costs a third of a second in an emulated worker: each method is one.
"""

import shlex
from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.morphing.confinement import confined
from tradewind.morphing.files import MAX_TEXT
from tradewind.ports import Completed, Remote
from tradewind.units import MiB

_MISSING: Final = 44
_TAIL_LINES: Final = 15
# Bytes per second below which a file counts as not arriving.
_SLOWEST: Final = MiB // 2

_READ: Final = f"""[ -f "$1" ] || exit {_MISSING}; head -c {MAX_TEXT + 1} "$1" """
# A link is written through, not replaced: some /etc/default/grub is one.
_WRITE: Final = """
set -eu
target=$(readlink -f "$1") || target=$1
mkdir -p "$(dirname "$target")"
new=$target.tradewind-new
umask 077
rm -f "$new"
[ ! -f "$target" ] || cp -p "$target" "$new"
cat >"$new"
chmod "$2" "$new"
mv -f "$new" "$target"
"""
_LIST: Final = """
cd "$1" 2>/dev/null || exit 0
for name in * .[!.]* ..?*; do
    if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\\0' "$name"; fi
done
"""


class RemoteGuestTree:
    """A guest mounted at `root` in a worker; satisfies `ports.GuestTree`."""

    def __init__(self, remote: Remote, root: str) -> None:
        self._remote = remote
        self._root = root

    def exists(self, path: str) -> bool:
        """Whether the path exists (a dangling symlink does not)."""
        return self.run(["test", "-e", path], check=False).status == 0

    def read_text(self, path: str) -> str:
        """Read a text file of at most 1 MiB; MorphingError names it when it is missing."""
        read = self._sh(_READ, path, check=False)
        if read.status == _MISSING:
            raise MorphingError(f"the guest has no file {path}")
        self._judge(read, ("read", path))
        if len(read.stdout.encode(errors="surrogateescape")) > MAX_TEXT:
            raise MorphingError(f"the guest's {path} is larger than {MAX_TEXT // MiB} MiB")
        return read.stdout

    def write_text(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a text file in one move, parent folders included."""
        content = text.encode(errors="surrogateescape")
        written = self._sh(_WRITE, path, f"{mode:o}", stdin=content, check=False)
        self._judge(written, ("write", path))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file that only root reads, parent folders included."""
        timeout = 60 + len(content) / _SLOWEST
        written = self._sh(_WRITE, path, "600", stdin=content, timeout=timeout, check=False)
        self._judge(written, ("write", path))

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        self.run(["rm", "-f", path])

    def list(self, folder: str) -> tuple[str, ...]:
        """Name the entries of a folder, sorted; empty when there is no such folder."""
        listed = self._sh(_LIST, folder)
        return tuple(sorted(name for name in listed.stdout.split("\0") if name))

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a command inside the guest's root, with an environment of its own."""
        completed = self._chrooted(argv, timeout=timeout)
        if check:
            self._judge(completed, argv)
        return completed

    def _sh(
        self,
        script: str,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> Completed:
        argv = ["sh", "-c", script, "sh", *arguments]
        completed = self._chrooted(argv, stdin=stdin, timeout=timeout)
        if check:
            self._judge(completed, ("sh", *arguments))
        return completed

    def _chrooted(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60
    ) -> Completed:
        inside = confined(self._root, argv)
        return self._remote.run(inside, stdin=stdin, timeout=timeout, check=False)

    @staticmethod
    def _judge(completed: Completed, what: Sequence[str]) -> None:
        if completed.status == 0:
            return
        command = shlex.join(what)
        raise MorphingError(
            f"in the guest, `{command[:200]}` ended with status {completed.status}:\n"
            + tail(completed)
        )


def tail(completed: Completed) -> str:
    """Return the end of what a command printed, errors before the rest, for a message."""
    text = completed.stderr.strip() or completed.stdout.strip() or "(it said nothing)"
    lines = text.encode(errors="replace").decode().splitlines()[-_TAIL_LINES:]
    return "\n".join("    " + line[:400] for line in lines)
