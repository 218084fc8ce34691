# SPDX-License-Identifier: Apache-2.0
"""LVM's filters: whether one hides a disk, and the same filter that does not.

Each is a list of patterns, the first that matches decides; a name that none matches is accepted.
Format: lvm.conf(5), devices/filter and devices/global_filter.
"""

import re
from collections.abc import Iterator
from typing import Final

# Disks and partitions as they will be called on virtio-blk, virtio-scsi and SATA.
DISKS: Final = ("/dev/vda", "/dev/vdb2", "/dev/sda", "/dev/sdb2")
# First in every mended filter.
ACCEPT: Final = '"a|^/dev/vd[a-z]|", "a|^/dev/sd[a-z]|"'

_FILTER: Final = re.compile(
    r"^(?P<head>[ \t]*(?:devices/)?(?:global_)?filter[ \t]*=)[ \t]*(?P<bracket>\[?)"
    r"(?P<list>(?:[\s,]*\"[^\"\n]*\")+)",
    re.MULTILINE,
)
_PATTERN: Final = re.compile(r'"((?:[^"\\\n]|\\.){1,500})"')


def mended(text: str) -> str:
    """Let every filter that hides such a disk accept it before anything else."""

    def mend(match: re.Match[str]) -> str:
        if not hidden(match["list"]):
            return match[0]
        rest = match["list"].strip()
        # One pattern alone may stand without brackets.
        return f"{match['head']} [ {ACCEPT}, {rest}" + ("" if match["bracket"] else " ]")

    return _FILTER.sub(mend, text)


def hides(text: str) -> tuple[str, ...]:
    """Name the disks that some filter of this file hides."""
    return tuple(
        dict.fromkeys(d for match in _FILTER.finditer(text) for d in hidden(match["list"]))
    )


def hidden(patterns: str) -> tuple[str, ...]:
    """Name the disks that this list of patterns hides; one we cannot read hides all."""
    parsed = list(_parsed(patterns))
    return tuple(disk for disk in DISKS if not _accepts(disk, parsed))


def _accepts(disk: str, patterns: list[tuple[str, re.Pattern[str] | None]]) -> bool:
    for verdict, pattern in patterns:
        if pattern is None:
            return False
        if pattern.search(disk):
            return verdict == "a"
    return True


def _parsed(patterns: str) -> Iterator[tuple[str, re.Pattern[str] | None]]:
    """Read `a|regex|`, with any delimiter; some have another at the end: `a(regex)`."""
    for match in _PATTERN.finditer(patterns):
        verdict, regex = match[1][0], match[1][2:-1]
        try:
            yield verdict, re.compile(regex)
        except re.error:
            yield verdict, None
