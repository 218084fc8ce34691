# SPDX-License-Identifier: Apache-2.0
"""A guest in a folder: files are real, commands are answered by whoever writes the test."""

import difflib
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tradewind.errors import MorphingError
from tradewind.model.guest import ChrootAccess
from tradewind.ports import Completed

Answer = Callable[[Sequence[str]], Completed]


def completed(argv: Sequence[str], status: int = 0, stdout: str = "") -> Completed:
    return Completed(tuple(argv), status, stdout, "" if status == 0 else "it failed")


class FakeGuestTree:
    """Satisfies `ports.GuestTree`. `commands` are those that ran, in order.

    A command nobody answers is a mistake in the test, and fails it.
    """

    def __init__(self, root: Path, files: Mapping[str, str]) -> None:
        self.root = root
        self.commands: list[str] = []
        self.labels: dict[str, str] = {}
        self._answers: list[tuple[str, Answer]] = [
            ("cp -a", self._keep),
        ]
        for path, text in files.items():
            self.write_text(path, text)

    def on(self, part: str, answer: Answer | str) -> None:
        """Answer commands that contain `part`; the last one that fits wins."""
        if isinstance(answer, str):
            text = answer
            self._answers.append((part, lambda argv: completed(argv, 0, text)))
        else:
            self._answers.append((part, answer))

    def exists(self, path: str) -> bool:
        return self._local(path).exists()

    def read_text(self, path: str) -> str:
        if not self._local(path).is_file():
            raise MorphingError(f"the guest has no file {path}")
        return self._local(path).read_text()

    def write_text(self, path: str, text: str, mode: int = 0o644) -> None:
        self._local(path).parent.mkdir(parents=True, exist_ok=True)
        self._local(path).write_text(text)
        self._local(path).chmod(mode)

    def write_bytes(self, path: str, content: bytes) -> None:
        self._local(path).parent.mkdir(parents=True, exist_ok=True)
        self._local(path).write_bytes(content)

    def remove(self, path: str) -> None:
        self._local(path).unlink(missing_ok=True)

    def list(self, folder: str) -> tuple[str, ...]:
        local = self._local(folder)
        return tuple(sorted(entry.name for entry in local.iterdir())) if local.is_dir() else ()

    def present(self, *paths: str) -> tuple[str, ...]:
        return tuple(path for path in paths if self._local(path).exists())

    def read_texts(self, *patterns: str) -> dict[str, str]:
        found = [p for pattern in patterns for p in sorted(self.root.glob(pattern.lstrip("/")))]
        return {f"/{p.relative_to(self.root)}": p.read_text() for p in found if p.is_file()}

    def label(self, labels: Sequence[tuple[str, str]]) -> None:
        self.labels |= dict(labels)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        check: bool = True,
        reach: ChrootAccess = ChrootAccess.FILES,
    ) -> Completed:
        command = shlex.join(argv)
        self.commands.append(command)
        for part, answer in reversed(self._answers):
            if part in command:
                done = answer(argv)
                if check and done.status != 0:
                    raise MorphingError(f"in the guest, `{command}` failed")
                return done
        raise AssertionError(f"nobody answers `{command}`")

    def _keep(self, argv: Sequence[str]) -> Completed:
        source, kept = (self._local(path) for path in argv[-2:])
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, kept)
        return completed(argv, 0, f"{source.stat().st_mode & 0o7777:o}\n")

    def _local(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def photograph(self) -> dict[str, str]:
        """Every file with its mode and text."""
        return {
            f"/{path.relative_to(self.root)}": f"mode {path.stat().st_mode & 0o7777:04o}\n"
            + path.read_text()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Say what changed between two photographs, as one unified diff."""
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        lines += difflib.unified_diff(
            (old or "").splitlines(keepends=True),
            (new or "").splitlines(keepends=True),
            "/dev/null" if old is None else f"a{path}",
            "/dev/null" if new is None else f"b{path}",
        )
    return "".join(lines)
