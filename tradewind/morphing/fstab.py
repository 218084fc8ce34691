# SPDX-License-Identifier: Apache-2.0
"""The guest's fstab(5): which file systems belong to the system, and where they are."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Mount
from tradewind.morphing.blockdevices import READABLE, find, kernel_position, place

# Only below these folders packages put files; a guest's data is not mounted and not touched.
SYSTEM_FOLDERS: Final = ("/boot", "/efi", "/etc", "/opt", "/usr", "/var")
# Options that choose what of a file system is meant; all others concern the running guest.
_CHOOSING: Final = ("subvol=", "subvolid=")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what is mounted where."""

    spec: str
    path: str
    fstype: str
    options: tuple[str, ...]

    @property
    def needed(self) -> bool:
        """Whether the guest mounts it by itself and cannot start without it."""
        return not {"noauto", "nofail", "_netdev"} & set(self.options)


@dataclass(frozen=True, slots=True)
class Found:
    """The mounts that belong to the system, "/" first, and what was noticed."""

    mounts: tuple[Mount, ...]
    notes: tuple[str, ...]


def entries(text: str) -> Iterator[Entry]:
    """Read the lines that mount something. Format: fstab(5)."""
    for line in text.splitlines():
        fields = [_unescape(field) for field in line.split()]
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
        yield Entry(fields[0], fields[1], fields[2], options)


def system_mounts(text: str, root: FileSystem, filesystems: Sequence[FileSystem]) -> Found:
    """Find the file systems of the system itself.

    InspectionError names one that the guest needs and that is on no attached disk.
    """
    mounts: list[Mount] = []
    notes: list[str] = []
    top = Mount(device=root.device, path="/", fstype=root.fstype)
    for entry in entries(text):
        if entry.path == "/":
            top = top.model_copy(update={"options": _choosing(entry.options)})
        if not _belongs_to_system(entry.path):
            continue
        filesystem = find(entry.spec, filesystems)
        if filesystem is None:
            notes.append(_missing(entry))
            continue
        mounts.append(_mount(entry, filesystem))
        if kernel_position(entry.spec) is not None:
            notes.append(f"{entry.spec} ({entry.path}) is taken to be {place(filesystem)}")
    # A parent has to be mounted before what lies in it, whatever the order of the lines.
    mounts.sort(key=lambda mount: mount.path.count("/"))
    return Found((top, *mounts), tuple(notes))


def _missing(entry: Entry) -> str:
    said = f"{entry.path} is on {entry.spec}, which is on none of the machine's disks"
    if entry.needed:
        raise InspectionError(
            said,
            "LVM, RAID and encrypted volumes cannot be adapted yet; otherwise see that all disks "
            "of the machine are moved",
        )
    return f"{said}; it is left out"


def _mount(entry: Entry, filesystem: FileSystem) -> Mount:
    if filesystem.fstype not in READABLE:
        raise InspectionError(f"{entry.path} is a {filesystem.fstype} file system")
    return Mount(
        device=filesystem.device,
        path=entry.path,
        fstype=filesystem.fstype,
        options=_choosing(entry.options),
    )


def _belongs_to_system(path: str) -> bool:
    return any(path == top or path.startswith(top + "/") for top in SYSTEM_FOLDERS)


def _choosing(options: Sequence[str]) -> str:
    return ",".join(option for option in options if option.startswith(_CHOOSING))


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
