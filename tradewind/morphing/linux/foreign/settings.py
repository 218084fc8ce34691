# SPDX-License-Identifier: Apache-2.0
"""Repositories of a platform's maker, and file systems that only its host served."""

import re
from collections.abc import Sequence
from typing import Final

from tradewind.morphing import backup, files
from tradewind.ports import GuestTree

_REPOSITORIES: Final = (
    "/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo",
)  # fmt: skip
_HOST: Final = re.compile(r"^[^#\n]*https?://(?:[^/@\s]*@)?([^/:\s]+)", re.MULTILINE)
_FSTAB: Final = "/etc/fstab"
_NOTE: Final = "# switched off by Tradewind, as only the old host has it: "


def quiet(guest: GuestTree, makers: Sequence[str], filesystems: Sequence[str]) -> list[str]:
    """Set aside the files of repositories that lead to a maker alone, and fstab's lines; say what.

    Format: fstab(5); the files of all three package systems have URLs in lines of their own.
    """
    patterns = (*(_REPOSITORIES if makers else ()), *([_FSTAB] if filesystems else []))
    if not patterns:
        return []
    texts = files.read(guest, *patterns)
    fstab = texts.pop(_FSTAB, "")
    theirs = [path for path, text in texts.items() if _leads_only_to(text, makers)]
    for path in theirs:
        backup.set_aside(guest, path)
    new, gone = without(fstab, filesystems)
    if gone:
        backup.rewrite(guest, _FSTAB, new)
    return [*theirs, *(f"{path} in {_FSTAB}" for path in gone)]


def without(fstab: str, filesystems: Sequence[str]) -> tuple[str, list[str]]:
    """Comment out the lines of these types; return the text, and the folders they were for."""
    lines = fstab.splitlines(keepends=True)
    fields = [line.split() for line in lines]
    theirs = [
        len(words) > 2 and not words[0].startswith("#") and words[2] in filesystems
        for words in fields
    ]
    new = [_NOTE + line if old else line for line, old in zip(lines, theirs, strict=True)]
    return "".join(new), [words[1] for words, old in zip(fields, theirs, strict=True) if old]


def _leads_only_to(text: str, makers: Sequence[str]) -> bool:
    hosts = set(_HOST.findall(text))
    return bool(hosts) and all(
        any(host == maker or host.endswith(f".{maker}") for maker in makers) for host in hosts
    )
