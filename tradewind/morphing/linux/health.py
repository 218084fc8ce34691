# SPDX-License-Identifier: Apache-2.0
"""What must not be written to: a sleeping machine's disks, and damaged file systems."""

from collections.abc import Iterator, Sequence
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Mount
from tradewind.morphing.linux.blockdevices import place
from tradewind.morphing.linux.facts import MAX_FACT, FileSystemFacts
from tradewind.plain_text import printable
from tradewind.units import KiB

# A swap space that holds the memory of a hibernated system: libblkid finds the signatures
# S1SUSPEND, S2SUSPEND, ULSUSPEND, LINHIB0001 and TuxOnIce's.
_HIBERNATED: Final = {"swsuspend", "swsupend"}


def refuse_hibernated(
    filesystems: Sequence[FileSystem], root: FileSystemFacts | None = None
) -> None:
    """Refuse a machine that sleeps: it would resume with a memory of disks that changed since."""
    places = [place(f) for f in filesystems if f.fstype in _HIBERNATED]
    places += [
        f"swap file {printable(path)}" for path in (root.lines("hibernated") if root else ())
    ]
    if places:
        raise InspectionError(
            f"the machine is hibernated: {', '.join(places)} holds its memory",
            "start it on its source, shut it down properly, and transfer it again",
        )


def refuse_oversized(root: FileSystemFacts) -> None:
    """Refuse a system whose own configuration is longer than anybody writes it."""
    long = [name for name in root.cut if name.startswith("/")]
    if long:
        raise InspectionError(
            f"{', '.join(long)} of the guest is larger than {MAX_FACT // KiB} KiB",
            "make it shorter on the source, and transfer again",
        )


def refuse_damaged(trees: Sequence[FileSystemFacts], mounts: Sequence[Mount]) -> None:
    """Refuse, all at once, file systems of the system that are known to be damaged."""
    paths = {mount.device: mount.path for mount in reversed(mounts)}
    found = [
        f"{paths[tree.filesystem.device]} ({tree.filesystem.fstype} on {place(tree.filesystem)}) "
        + why
        for tree in trees
        if tree.filesystem.device in paths and (why := _damage(tree))
    ]
    if found:
        raise InspectionError(
            "damaged file systems: " + "; ".join(found),
            "check and repair them on the source (fsck), and transfer again",
        )


def _damage(tree: FileSystemFacts) -> str:
    if "unreadable" in tree.facts:
        return f"cannot be mounted ({printable(' '.join(tree.facts['unreadable'].split()))})"
    if "with errors" in _state(tree):
        return "has recorded errors that nobody has repaired"
    return ""


def _state(tree: FileSystemFacts) -> str:
    """Read the state of an ext superblock, as dumpe2fs(8) words it: "clean with errors"."""
    for line in tree.lines("super"):
        if line.startswith("Filesystem state:"):
            return line.partition(":")[2].strip()
    return ""


def needs_check(tree: FileSystemFacts) -> bool:
    """Whether it was in use and has no journal: a short check mends it, as at the guest's boot."""
    return _state(tree).startswith("not clean") and "has_journal" not in tree.facts["super"]


def notes(trees: Sequence[FileSystemFacts], mounts: Sequence[Mount]) -> Iterator[str]:
    """Return what is normal for a machine that was copied while it ran, and what is not quite."""
    paths = {mount.device: mount.path for mount in reversed(mounts)}
    for tree in trees:
        path = paths.get(tree.filesystem.device)
        if path is None:
            continue
        yield from _unread(tree, path)
        if "in-use" in tree.facts:
            yield f"{path} was in use when it was copied; its journal is replayed"
        if "unreplayed" in tree.facts:
            why = printable(" ".join(tree.lines("unreplayed")))
            yield f"{path} was looked at without its journal, so what changed last was not: {why}"
        if needs_check(tree):
            yield f"{path} was in use when it was copied and has no journal; it is checked first"
        if tree.facts.get("errors"):
            counted = printable("; ".join(line.split(".")[-1] for line in tree.lines("errors")))
            yield f"{path}: btrfs has counted errors ({counted}); `btrfs scrub` tells if any last"


def _unread(tree: FileSystemFacts, path: str) -> Iterator[str]:
    for name in tree.cut:
        yield f"{name} on {path} was not read to its end: it is too long"
    for name in filter(None, tree.lines("odd")):
        yield f"{printable(name)} on {path} is no regular file, and was not read"
