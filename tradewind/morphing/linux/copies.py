# SPDX-License-Identifier: Apache-2.0
"""File systems that are there twice, because somebody copied a disk."""

from collections.abc import Iterator, Sequence

from tradewind.model.guest import FileSystem
from tradewind.morphing.linux import names
from tradewind.morphing.linux.blockdevices import place
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.morphing.linux.roots import Candidates, Root


def told_apart(
    filesystems: Sequence[FileSystem], trees: Sequence[FileSystemFacts]
) -> tuple[FileSystem, ...]:
    """Say of each device of a btrfs which one it is, as it was read from the device."""
    members = {
        tree.filesystem.device: tree.facts["member"].strip()
        for tree in trees
        if "member" in tree.facts
    }
    return tuple(f.model_copy(update={"member": members.get(f.device, "")}) for f in filesystems)


def notes(root: Root, everything: Candidates) -> Iterator[str]:
    """Say that the guest itself cannot know which of several file systems is its root."""
    own = root.tree.filesystem
    others = [f for f in everything.filesystems if f.device not in everything.snapshots]
    twins = names.find_all(f"UUID={own.uuid}", others) if own.uuid else []
    if len(twins) > 1:
        places = ", ".join(place(f) for f in twins if f.device != own.device)
        yield (
            f"the file system of / on {place(own)} has the UUID of another one on {places}: the "
            "guest may start from either; give the copy a UUID of its own"
        )
