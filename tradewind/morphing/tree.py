# SPDX-License-Identifier: Apache-2.0
"""The guest's files and commands, through a shell in the worker.

Everything happens inside the guest's root (`confinement.py`), where its symbolic links cannot lead
out. Files are read and written by code of ours (`guest_files.py`), which opens regular files only.
A command costs a third of a second in an emulated worker: each method is one.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from tradewind.errors import LateError, MorphingError
from tradewind.model.guest import ChrootAccess
from tradewind.morphing import guest_files
from tradewind.morphing.confinement import on_files, program, run_inside
from tradewind.plain_text import printable
from tradewind.ports import Completed, Remote
from tradewind.units import MiB

MAX_TEXT: Final = 1 * MiB
# All files of one question together; a guest may have as many as it likes.
MAX_TEXTS: Final = 8 * MiB

_TAIL_LINES: Final = 15
# Bytes per second below which a file counts as not arriving.
_SLOWEST: Final = MiB // 2
_LABELS: Final = 200  # in one command
_REASONS: Final = {
    guest_files.MISSING: "the guest has no file {}",
    guest_files.NO_FILE: "the guest's {} is no regular file",
    guest_files.TOO_LARGE: f"the guest's {{}} is larger than {MAX_TEXT // MiB} MiB",
    guest_files.TOO_LARGE_TOGETHER: (
        f"the guest's {{}} are larger than {MAX_TEXTS // MiB} MiB together"
    ),
    guest_files.TOO_MANY: f"the guest's {{}} has more than {guest_files.MOST_ENTRIES:,} entries",
}


class RemoteGuestTree:
    """A guest mounted at `root` in a worker; satisfies `ports.GuestTree`."""

    def __init__(self, remote: Remote, root: str) -> None:
        self._remote = remote
        self._root = root

    def exists(self, path: str) -> bool:
        """Whether the path exists (a dangling symlink does not)."""
        return bool(self.present(path))

    def present(self, *paths: str) -> tuple[str, ...]:
        """Return which of these paths exist, in their order."""
        return _names(self._files("present", *paths).stdout)

    def read_text(self, path: str) -> str:
        """Read a text file of at most 1 MiB; MorphingError names it when it is missing."""
        return self._files("text", path, str(MAX_TEXT)).stdout

    def read_texts(self, *patterns: str) -> dict[str, str]:
        """Read all text files that match, by path; MorphingError names what is over a bound."""
        said = self._files("texts", str(MAX_TEXT), str(MAX_TEXTS), *patterns, timeout=120).stdout
        return dict(_texts(said.encode(errors="surrogateescape")))

    def write_text(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a text file in one move, parent folders included."""
        self._files("write", path, f"{mode:o}", stdin=text.encode(errors="surrogateescape"))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file that only root reads, parent folders included."""
        self._files("write", path, "600", stdin=content, timeout=60 + len(content) / _SLOWEST)

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        self._files("remove", path)

    def list(self, folder: str) -> tuple[str, ...]:
        """Name the entries of a folder, sorted; empty when there is no such folder."""
        return _names(self._files("list", folder).stdout)

    def label(self, labels: Sequence[tuple[str, str]]) -> None:
        """Set SELinux labels of files, whether or not the worker's kernel uses them."""
        words = [word for pair in labels for word in pair]
        for start in range(0, len(words), _LABELS * 2):
            self._files("label", *words[start : start + _LABELS * 2], reach=ChrootAccess.LABELS)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        check: bool = True,
        reach: ChrootAccess = ChrootAccess.FILES,
    ) -> Completed:
        """Run a command inside the guest's root, with an environment of its own."""
        completed = self._inside(program(*argv), reach, timeout=timeout)
        if check:
            _judge(completed, shlex.join(argv))
        return completed

    def _files(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = 60,
        reach: ChrootAccess = ChrootAccess.FILES,
    ) -> Completed:
        completed = self._inside(on_files(*arguments), reach, stdin=stdin, timeout=timeout)
        reason = _REASONS.get(completed.status)
        if reason:
            raise MorphingError(reason.format(printable(completed.stderr)))
        _judge(completed, shlex.join(arguments))
        return completed

    def _inside(
        self, work: Sequence[str], reach: ChrootAccess, *, stdin: bytes = b"", timeout: float
    ) -> Completed:
        try:
            return run_inside(self._remote, self._root, work, reach, stdin=stdin, timeout=timeout)
        except LateError:
            raise LateError(
                f"in the guest, `{printable(shlex.join(work[1:]))}` did not end within"
                f" {timeout:.0f} s"
            ) from None


def _names(said: str) -> tuple[str, ...]:
    return tuple(said.split("\0")[:-1])


def _texts(said: bytes) -> Iterator[tuple[str, str]]:
    """Take apart what `guest_files.read_many` prints. No text has zero bytes."""
    while said:
        path, size, said = said.split(b"\0", 2)
        text, said = said[: int(size)].replace(b"\0", b""), said[int(size) :]
        yield os.fsdecode(path), text.decode(errors="surrogateescape")


def _judge(completed: Completed, command: str) -> None:
    if completed.status != 0:
        raise MorphingError(
            f"in the guest, `{printable(command)}` ended with status {completed.status}:\n"
            + tail(completed)
        )


def tail(completed: Completed) -> str:
    """Return the end of what a command printed, errors before the rest, for a message."""
    text = completed.stderr.strip() or completed.stdout.strip() or "(it said nothing)"
    lines = text.encode(errors="replace").decode().splitlines()[-_TAIL_LINES:]
    return "\n".join("    " + line[:400] for line in lines)
