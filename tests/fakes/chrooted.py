# SPDX-License-Identifier: Apache-2.0
"""A guest in a real chroot: every shell script of ours runs there, beside made-up programs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tradewind.morphing.tree import RemoteGuestTree

PROGRAMS = (
    "base64", "cmp", "cut", "dd", "df", "find", "gzip", "od", "sed", "sort", "sync", "tail", "tr",
    "wc", "xargs", "zstd",
)  # fmt: skip
# Where made-up programs write their arguments, a line for each call.
CALLS = "/var/log/calls"


def build(root: Path) -> Path:
    """Make a root with what our scripts call."""
    small_root.build(root, PROGRAMS)
    for folder in ("lib", "lib64"):
        (root / folder).mkdir(exist_ok=True)
    return root


class ChrootedGuest(RemoteGuestTree):
    """A copy of such a root, with files and programs of its own."""

    def __init__(self, root: Path, template: Path, files: Mapping[str, str | bytes]) -> None:
        super().__init__(LocalRemote(), str(root))
        small_root.copy(template, root)
        self.root = root
        self._own = set(files)
        for path, content in files.items():
            self.put(path, content)
        (root / "dev/null").touch()
        self.put(CALLS, "")

    def put(self, path: str, content: str | bytes) -> None:
        local = self.root / path.lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(content.encode() if isinstance(content, str) else content)

    def program(self, name: str, script: str = "") -> None:
        """Install a made-up program that writes down its call, then does what the script says."""
        self.put(f"/usr/sbin/{name}", f'#!/bin/sh\necho "{name} $*" >>{CALLS}\n{script}\n')
        (self.root / f"usr/sbin/{name}").chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.root / CALLS.lstrip("/")).read_text().splitlines()

    def photograph(self) -> dict[str, str]:
        """Every file that is no program, with its mode and text."""
        seen = {}
        for path in sorted(self.root.rglob("*")):
            name = f"/{path.relative_to(self.root)}"
            if path.is_file() and not path.is_symlink() and not _is_program(name):
                seen[name] = f"mode {path.stat().st_mode & 0o7777:04o}\n{_text(path)}"
        return seen


def _text(path: Path) -> str:
    content = path.read_bytes()
    if b"\0" in content:
        return f"binary {hashlib.sha256(content).hexdigest()[:16]}\n"
    return content.decode(errors="replace")


def _is_program(name: str) -> bool:
    return name.startswith(("/usr/bin/", "/usr/sbin/", "/lib/x86_64", "/lib64/", "/dev/", CALLS))
