# SPDX-License-Identifier: Apache-2.0
"""The guest's fstab(5): which file systems belong to the system, and where they are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Mount
from tradewind.morphing.linux.blockdevices import READABLE, place
from tradewind.morphing.linux.kernel_names import split
from tradewind.morphing.linux.names import TAGS, find_all, surely
from tradewind.plain_text import printable

# Only below these folders packages put files; a guest's data is not mounted and not touched.
SYSTEM_FOLDERS: Final = ("/boot", "/efi", "/etc", "/opt", "/usr", "/var")
# Options that choose what of a file system is meant; all others concern the running guest.
_CHOOSING: Final = ("subvol=", "subvolid=")
_NO_DEVICE: Final = {"bind", "rbind", "loop", "move"}
_MADE_UP: Final = {"none", "tmpfs", "ramfs", "overlay", "aufs", "devtmpfs", "proc", "sysfs"}
_MEDIA: Final = {"iso9660", "udf"}
# Devices that are made when the guest runs, and drives for media.
_ELSEWHERE: Final = re.compile(
    r"/dev/(?:loop|z?ram|sr|scd|fd|nbd|rbd|mtdblock|pmem)\d.*|/dev/(?:cdrom|dvd|fuse|shm)\b.*"
)
_BY_HAND: Final = {"noauto", "nofail", "_netdev"}
# A name that is a path: no "..", nothing that is not printable.
_PATH: Final = re.compile(r"/|(/(?!\.\.?(/|$))[^/\0\n]+)+")


@dataclass(frozen=True, slots=True)
class FstabEntry:
    """One line: what is mounted where."""

    spec: str
    path: str
    fstype: str
    options: tuple[str, ...]

    @property
    def on_disk(self) -> bool:
        """Whether it is a file system on a device of its own.

        No bind mount, no share, no image in a file, nothing that the kernel makes up (tmpfs,
        overlay, rpc_pipefs …): mount(8), "the non-superuser mounts" and "the loop-device support".
        """
        device = self.spec.startswith("/dev/") or self.spec.partition("=")[0] in TAGS
        return device and not (
            _ELSEWHERE.fullmatch(self.spec)
            or _MEDIA & set(self.fstype.split(","))
            or self.fstype in _MADE_UP
            or _NO_DEVICE & {option.partition("=")[0] for option in self.options}
        )

    @property
    def needed(self) -> bool:
        """Whether the guest mounts it by itself and cannot start without it.

        What systemd mounts when it is first looked at (x-systemd.automount) is mounted: that is
        how /boot/efi is written in many an fstab.
        """
        return not _BY_HAND & set(self.options)


@dataclass(frozen=True, slots=True)
class SystemMounts:
    """The mounts that belong to the system, "/" first, and what was noticed."""

    mounts: tuple[Mount, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FstabDisks:
    """What an fstab is read against; `closed` says why members of stacks stay closed."""

    filesystems: Sequence[FileSystem]
    closed: Mapping[str, str] = field(default_factory=dict)


def entries(text: str) -> Iterator[FstabEntry]:
    """Read the lines that mount something. Format: fstab(5); quotes as libmount takes them."""
    for line in text.splitlines():
        fields = [_unescape(word) for word in line.split()]
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        options = tuple(_unquote(o) for o in fields[3].split(",")) if len(fields) > 3 else ()
        yield FstabEntry(_unquote(fields[0]), _tidy(fields[1]), fields[2], options)


def system_mounts(text: str, root: Mount, disks: FstabDisks) -> SystemMounts:
    """Find the file systems of the system itself; `root` is what is mounted at "/".

    InspectionError names one that the guest needs and that is on no attached disk, and one that
    could be several.
    """
    mounts: list[Mount] = []
    notes: list[str] = []
    for entry in entries(text):
        if _belongs_to_system(entry.path):
            found = _look(entry, disks)
            mounts.extend(found.mounts)
            notes.extend(found.notes)
    # A parent has to be mounted before what lies in it, whatever the order of the lines. Of
    # several lines for one place the last one hides the others.
    by_path = {mount.path: mount for mount in mounts}
    return SystemMounts(
        (root, *sorted(by_path.values(), key=lambda m: m.path.count("/"))), tuple(notes)
    )


def _look(entry: FstabEntry, disks: FstabDisks) -> SystemMounts:
    """Find what a line mounts; what cannot be found is left out with a note, or an error."""
    if not entry.on_disk:
        return SystemMounts(
            (), (f"{_said(entry)}, which is no disk of the machine; it is left out",)
        )
    try:
        filesystem = _meant(entry, disks)
        mount = _mount(entry, filesystem)
    except InspectionError as error:
        if entry.needed:
            raise
        return SystemMounts((), (f"{error.message}; it is left out",))
    unsure = not surely(entry.spec) or entry.spec.startswith("/dev/md")
    return SystemMounts((mount,), tuple(_taken_to_be(entry, filesystem)) if unsure else ())


def _said(entry: FstabEntry) -> str:
    return f"{printable(entry.path)} is on {printable(entry.spec)}"


def _meant(entry: FstabEntry, disks: FstabDisks) -> FileSystem:
    found = find_all(entry.spec, disks.filesystems)
    if len(found) > 1:
        places = ", ".join(place(f) for f in found)
        raise InspectionError(
            f"{_said(entry)}, which could be {places}",
            "name it by its UUID in the fstab on the source, and see that no two file systems "
            "have the same UUID",
        )
    if not found:
        raise _missing(entry, disks)
    return found[0]


def _taken_to_be(entry: FstabEntry, filesystem: FileSystem) -> Iterator[str]:
    if entry.spec not in filesystem.names:
        named = f"{printable(entry.spec)} ({printable(entry.path)})"
        yield f"{named} is taken to be {place(filesystem)}"


def _missing(entry: FstabEntry, disks: FstabDisks) -> InspectionError:
    closed = "; ".join(f"{where}: {why}" for where, why in disks.closed.items())
    message = f"{_said(entry)}, which is on none of the machine's disks"
    if entry.needed and closed:
        message += f" ({closed})"
    if split(entry.spec):
        return InspectionError(
            message,
            "see that all disks of the machine are moved, and name it by its UUID in the fstab on "
            "the source; of a disk image, say the bus that its guest had it on",
        )
    return InspectionError(
        message, "see that all disks of the machine are moved, and what is encrypted can be opened"
    )


def _mount(entry: FstabEntry, filesystem: FileSystem) -> Mount:
    if filesystem.fstype not in READABLE:
        raise InspectionError(
            f"{printable(entry.path)} is a {filesystem.fstype} file system, which cannot be"
            " mounted",
            f"put it on one of {', '.join(sorted(READABLE))}, or deploy with skip_os_morphing",
        )
    if not _PATH.fullmatch(entry.path):
        raise InspectionError(
            f"the guest's fstab mounts {printable(entry.spec)} at {printable(entry.path)}, which is"
            " no plain path",
            "correct /etc/fstab on the source",
        )
    return Mount(
        device=filesystem.device,
        path=entry.path,
        fstype=filesystem.fstype,
        options=",".join(o for o in entry.options if o.startswith(_CHOOSING)),
    )


def _belongs_to_system(path: str) -> bool:
    return any(path == top or path.startswith(top + "/") for top in SYSTEM_FOLDERS)


def _tidy(path: str) -> str:
    """Leave out what a path may have too much of: "/boot//efi/" is /boot/efi."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def _unquote(word: str) -> str:
    return re.sub(r"""^([^=]*=)?(["'])(.*)\2$""", lambda m: (m[1] or "") + m[3], word)


def _unescape(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)
