# SPDX-License-Identifier: Apache-2.0
"""Open all stacks on the attached disks from below, and take them down from above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import FileSystem, Layer
from tradewind.model.guest_keys import GuestKeys
from tradewind.morphing.linux import blockdevices, worker_tools
from tradewind.morphing.linux.blockdevices import DiskContents
from tradewind.morphing.linux.stacks import luks, lvm, md
from tradewind.morphing.linux.worker_tools import Workshop
from tradewind.ports import Remote
from tradewind.shell_programs import program

# Containers in volumes on arrays on containers …: more than anybody stacks on purpose.
_MOST_LAYERS: Final = 8

_LIST: Final = program(__file__, "devices.sh", "take_down.sh", "list.sh")
_CLOSE: Final = program(__file__, "devices.sh", "take_down.sh", "close.sh")


@dataclass(slots=True)
class Opened:
    """What the disks hold with every stack open that can be opened.

    `refused` says for the device of each member that stays closed why; `snapshots` are devices
    that are copies of another. `unreadable` says by format what the worker cannot read, and why.
    """

    contents: DiskContents
    layers: dict[str, Layer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def kinds(self) -> set[str]:
        """Name the formats of all that was found so far."""
        return {f.fstype for f in (*self.contents.filesystems, *self.contents.members)}

    def closed(self, fstype: str) -> list[FileSystem]:
        """Members of a kind that may yet be opened."""
        return [m for m in self.contents.closed(fstype) if m.device not in self.refused]

    def closed_for_good(self, fstype: str) -> list[FileSystem]:
        """Members of a kind that could not be opened."""
        return [m for m in self.contents.closed(fstype) if m.device in self.refused]

    def reasons(self) -> dict[str, str]:
        """Say of everything that stays closed what and where it is, and why."""
        return {
            f"{blockdevices.STACKED[m.fstype]} on {blockdevices.place(m)}": self.refused.get(
                m.device, ""
            )
            for m in self.contents.members
            if m.device not in self.contents.opened
        }


def open_stacks(remote: Remote, serials: Sequence[str], keys: GuestKeys) -> Opened:
    """Open arrays, containers and volume groups until nothing is left that can be opened.

    What stood on these disks before is taken down first: a second time starts afresh.
    """
    workshop = worker_tools.open_workshop(remote)
    while True:
        opened = _open_all(remote, serials, keys, workshop)
        if opened is not None:
            opened.unreadable |= workshop.unreadable
            opened.notes += workshop.notes
            return opened


def _open_all(
    remote: Remote, serials: Sequence[str], keys: GuestKeys, workshop: Workshop
) -> Opened | None:
    """Open what can be; None: packages came meanwhile, which may have opened something as well."""
    opened = Opened(_listed(remote, serials, {}, first=True))
    for _ in range(_MOST_LAYERS):
        if workshop.provide(opened.kinds()):
            return None
        for member in opened.contents.members:
            if member.fstype in workshop.unreadable:
                opened.refused[member.device] = workshop.unreadable[member.fstype]
        if not _open_level(remote, opened, keys):
            break
        opened.contents = _listed(remote, serials, opened.layers, first=False)
    return opened


def _listed(
    remote: Remote, serials: Sequence[str], layers: Mapping[str, Layer], *, first: bool
) -> DiskContents:
    arguments = ["yes" if first else "no", blockdevices.COLUMNS, *serials]
    listed = remote.run(["sh", "-c", _LIST, "sh", *arguments], timeout=180)
    kernel_names, _, listing = listed.stdout.partition("\n\n")
    stable = [f"/dev/disk/by-id/virtio-{serial}" for serial in serials]
    disks = dict(zip(kernel_names.splitlines(), stable, strict=True))
    return blockdevices.contents(listing, disks, layers)


def _open_level(remote: Remote, opened: Opened, keys: GuestKeys) -> bool:
    """Open what lies open before us, lowest kinds first; say whether anything was tried."""
    if members := opened.closed("linux_raid_member"):
        assembled = md.assemble(remote, members)
        opened.layers |= assembled.layers
        opened.refused |= assembled.refused
        opened.notes += assembled.notes
    elif members := opened.closed("crypto_LUKS"):
        unlocked = luks.unlock(remote, members, keys)
        opened.layers |= unlocked.layers
        opened.refused |= unlocked.refused
    elif members := opened.closed("LVM2_member"):
        _activate(remote, opened)
    return bool(members)


def _activate(remote: Remote, opened: Opened) -> None:
    """Activate groups; a physical volume that is open already may share a group with a new one."""
    members = [m for m in opened.contents.members if m.fstype == "LVM2_member"]
    activated = lvm.activate(remote, members, {layer.group for layer in opened.layers.values()})
    opened.layers |= activated.layers
    opened.snapshots |= activated.snapshots
    opened.notes += [note for note in activated.notes if note not in opened.notes]
    # Asked once: what has no active volume now, an empty group for example, stays as it is.
    for member in opened.closed("LVM2_member"):
        opened.refused[member.device] = activated.refused.get(member.device, "")


def close(remote: Remote, serials: Sequence[str]) -> None:
    """Take down whatever stands on the disks, in reverse; MorphingError names what stays."""
    closed = remote.run(["sh", "-c", _CLOSE, "sh", *serials], timeout=300, check=False)
    if closed.status != 0:
        raise MorphingError(
            f"the guest's disks are still in use in the worker: {closed.stderr.strip()[-400:]}"
        )
