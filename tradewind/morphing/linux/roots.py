# SPDX-License-Identifier: Apache-2.0
"""Which of the file systems on the disks is the root of the machine's operating system.

The rule. What holds an os-release file (or has it in its own /usr) may be the root; snapshots of
logical volumes, and subvolumes that a snapshot tool keeps, may not. Of these candidates, those
count whose own /etc/fstab mounts "/" from themselves: a copy of a system names the original there,
and a snapshot the subvolume that it is one of. Where none does, those count whose fstab names a "/"
that is on none of the disks; then those that name none; then all. If exactly one counts, it is the
root. If several count, that is an error which names each with the value of `root_device` that
chooses it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, LayerKind
from tradewind.morphing.linux import fstab, os_release
from tradewind.morphing.linux.blockdevices import place
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.morphing.linux.names import containers, find_all, kernel_name
from tradewind.plain_text import printable


class RootClaim(IntEnum):
    """What a candidate's own fstab says about "/"."""

    ITSELF = 0
    UNKNOWN = 1
    NOTHING = 2
    ANOTHER = 3


@dataclass(frozen=True, slots=True)
class Root:
    """A candidate; `usr` is the file system of its own /usr, if it has one."""

    tree: FileSystemFacts
    usr: FileSystemFacts | None
    os_release: Mapping[str, str]
    claim: RootClaim

    @property
    def fstab(self) -> str:
        """The text of its fstab, empty if there is none."""
        return self.tree.facts.get("fstab", "")

    def __str__(self) -> str:
        where = place(self.tree.filesystem)
        below = f", subvolume {printable(self.tree.subvolume)}" if self.tree.subvolume else ""
        return f"{os_release.pretty_name(self.os_release)} on {where}{below}"


@dataclass(frozen=True, slots=True)
class Candidates:
    """Everything that was found, to choose from. `snapshots` are devices that are copies."""

    trees: Sequence[FileSystemFacts]
    filesystems: Sequence[FileSystem]
    snapshots: frozenset[str] = frozenset()

    def tree(self, mounted: fstab.FstabEntry) -> FileSystemFacts | None:
        """Find the tree that a line of an fstab mounts."""
        devices = {f.device for f in find_all(mounted.spec, self.filesystems)}
        for tree in self.trees:
            if tree.filesystem.device in devices and self.is_meant(tree, mounted):
                return tree
        return None

    def is_meant(self, tree: FileSystemFacts, mounted: fstab.FstabEntry) -> bool:
        """Whether a line of an fstab that names a tree's btrfs means this subvolume of it."""
        if tree.filesystem.fstype != "btrfs":
            return True
        if not tree.subvolid:
            return False
        chosen = dict(option.partition("=")[::2] for option in mounted.options)
        if "subvol" in chosen:
            return chosen["subvol"].strip("/") == tree.subvolume
        return chosen.get("subvolid", self._default(tree)) in {tree.subvolid, "0"}

    def _default(self, tree: FileSystemFacts) -> str:
        for other in self.trees:
            if other.filesystem.device == tree.filesystem.device and "default" in other.facts:
                words = other.facts["default"].split()
                return words[1] if len(words) > 1 else "5"
        return "5"


def choose(everything: Candidates, wanted: str = "") -> Root:
    """Apply the rule, or take what `wanted` names; InspectionError lists the candidates.

    `wanted` is a device as fstab(5) would name it, and may end in [SUBVOLUME] for a btrfs.
    """
    candidates = list(_candidates(everything))
    counting = _wanted(candidates, everything, wanted) if wanted else candidates
    best = min((root.claim for root in counting), default=RootClaim.ITSELF)
    counting = [root for root in counting if root.claim is best]
    if len(counting) == 1:
        return counting[0]
    if counting:
        raise InspectionError("several operating systems are on the disks: " + _listed(
            counting, everything), "choose one with root_device")  # fmt: skip
    raise NoRootError("no operating system is on the disks")


class NoRootError(InspectionError):
    """Nothing on the disks is an operating system; what there is, the caller knows."""


def _candidates(everything: Candidates) -> Iterator[Root]:
    for tree in everything.trees:
        if tree.filesystem.device in everything.snapshots:
            continue
        usr = _usr(tree, everything)
        text = tree.facts.get("os-release") or (usr.facts.get("usr-os-release") if usr else None)
        if text:
            yield Root(tree, usr, os_release.parse(text), _claim(tree, everything))


def _usr(tree: FileSystemFacts, everything: Candidates) -> FileSystemFacts | None:
    lines = fstab.entries(tree.facts.get("fstab", ""))
    return next((everything.tree(line) for line in lines if line.path == "/usr"), None)


def _claim(tree: FileSystemFacts, everything: Candidates) -> RootClaim:
    lines = [e for e in fstab.entries(tree.facts.get("fstab", "")) if e.path == "/"]
    if not lines:
        return RootClaim.NOTHING
    named = {f.device for f in find_all(lines[0].spec, everything.filesystems)}
    if lines[0].spec in _own_names(tree):
        named.add(tree.filesystem.device)
    if not named:
        return RootClaim.UNKNOWN
    meant = tree.filesystem.device in named and everything.is_meant(tree, lines[0])
    return RootClaim.ITSELF if meant else RootClaim.ANOTHER


def _own_names(tree: FileSystemFacts) -> set[str]:
    """Return how the candidate's own crypttab calls the container that it lies in."""
    top = tree.filesystem.layers[0].uuid if tree.filesystem.layers else ""
    return {
        f"/dev/mapper/{name}"
        for name, device, _ in containers(tree.facts.get("crypttab", ""))
        if top and device.lower().endswith(top.lower())
    }


def _wanted(candidates: Sequence[Root], everything: Candidates, wanted: str) -> list[Root]:
    match = re.fullmatch(r"(?s)(.*?)(?:\[(.*)\])?", wanted)
    spec, subvolume = (match[1], match[2]) if match else (wanted, None)
    devices = {f.device for f in find_all(spec, everything.filesystems)}
    found = [root for root in candidates if root.tree.filesystem.device in devices]
    if subvolume is not None:
        found = [root for root in found if root.tree.subvolume == subvolume.strip("/")]
    if not found:
        there = _listed(candidates, everything) or "none that could be one"
        raise InspectionError(
            f"root_device {printable(wanted)} is no root of an operating system",
            f"there are: {there}",
        )
    return found


def _listed(roots: Sequence[Root], everything: Candidates) -> str:
    return "; ".join(f"{root} (root_device {_choice(root, everything)})" for root in roots)


def _choice(root: Root, everything: Candidates) -> str:
    filesystem = root.tree.filesystem
    subvolume = f"[/{root.tree.subvolume}]" if root.tree.subvolid else ""
    return printable(_name(filesystem, everything.filesystems) + subvolume)


def _name(filesystem: FileSystem, filesystems: Sequence[FileSystem]) -> str:
    """Name a file system in a way that means no other one."""
    by_uuid = f"UUID={filesystem.uuid}"
    if filesystem.uuid and len(find_all(by_uuid, filesystems)) == 1:
        return by_uuid
    if filesystem.layers and filesystem.layers[0].kind is LayerKind.LVM:
        return f"/dev/{filesystem.layers[0].name}"
    if filesystem.layers:
        return filesystem.names[0] if filesystem.names else filesystem.device
    return kernel_name(filesystem)
