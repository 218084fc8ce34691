# SPDX-License-Identifier: Apache-2.0
"""Find the operating system on the disks that are attached to a worker; change nothing."""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.guest import Family, FileSystem, GuestOS, Mount
from tradewind.morphing import blockdevices
from tradewind.morphing.fstab import system_mounts
from tradewind.ports import Remote

_FAMILIES: Final = {
    Family.DEBIAN: {"debian", "ubuntu", "linuxmint", "kali", "raspbian", "devuan"},
    Family.RED_HAT: {"rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn", "openeuler"},
    Family.SUSE: {"suse", "opensuse", "sles", "sled", "opensuse-leap", "opensuse-tumbleweed"},
}

# Prints the kernel's name of each disk, an empty line, and what lsblk says. udev may still be
# reading a disk that was attached a moment ago.
_LIST_DISKS: Final = f"""
for serial in "$@"; do
    tries=0
    until [ -b "/dev/disk/by-id/virtio-$serial" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 60 ] || {{ echo "no disk with the serial $serial is attached" >&2; exit 1; }}
        sleep 0.5
    done
done
udevadm settle --timeout=30
set -- $(for serial in "$@"; do readlink -f "/dev/disk/by-id/virtio-$serial"; done)
printf '%s\\n' "$@" ''
lsblk --json --paths --output {blockdevices.COLUMNS} "$@"
"""

# For each file system prints lines "number/subvolume fact base64". A guest's symbolic links are
# followed only as far as they stay in its own tree: `pwd -P` says where a folder really is, and
# a file that is a link itself is not read.
_READ_FACTS: Final = """
root=$(mktemp -d /run/tradewind-inspect.XXXXXX)
trap 'umount "$root" 2>/dev/null; rmdir "$root"' EXIT
tell() { printf '%s/%s %s ' "$number" "$sub" "$1"; head -c 65536 | base64 -w 0; echo; }
inside() {
    folder=$(cd "$top/$1" 2>/dev/null && pwd -P) || return 1
    case "$folder/" in "$top"/*) ;; *) return 1 ;; esac
}
file() {
    inside "$(dirname "$1")" && [ -f "$folder/${1##*/}" ] && [ ! -L "$folder/${1##*/}" ] &&
        tell "$2" <"$folder/${1##*/}"
}
entries() { inside "$1" && (cd "$folder" && ls -1A) | tell "$2"; }
facts() {
    file etc/os-release os-release || file usr/lib/os-release os-release
    file etc/fstab fstab
    entries lib/modules modules || entries usr/lib/modules modules
    entries boot boot
    entries . top
}
number=0
while [ $# -gt 0 ]; do
    case $1 in
        ext*) options=ro,noload ;;
        xfs) options=ro,norecovery,nouuid ;;
        btrfs) options=ro,subvolid=5 ;;
        *) options=ro ;;
    esac
    sub=
    top=$root
    if said=$(mount -t "$1" -o "$options" "$2" "$root" 2>&1); then
        facts
        for sub in @ @rootfs root; do
            [ "$1" = btrfs ] && [ ! -L "$root/$sub" ] && [ -d "$root/$sub" ] || continue
            top=$root/$sub
            facts
        done
        sub=
        umount "$root"
    else
        echo "$said" | tell unreadable
    fi
    case $1 in ext*) dumpe2fs -h "$2" 2>/dev/null | grep -q needs_recovery && : | tell dirty ;; esac
    number=$((number + 1))
    shift 2
done
"""


@dataclass(slots=True)
class _Tree:
    """What was read from one file system (or from one btrfs subvolume)."""

    filesystem: FileSystem
    subvolume: str
    facts: dict[str, str] = field(default_factory=dict)

    def lines(self, fact: str) -> tuple[str, ...]:
        return tuple(self.facts.get(fact, "").splitlines())

    def __str__(self) -> str:
        name = _os_release(self.facts["os-release"]).get("PRETTY_NAME", "an unnamed system")
        below = f" (subvolume {self.subvolume})" if self.subvolume else ""
        return f"{name} on {blockdevices.place(self.filesystem)}{below}"


def inspect(remote: Remote, serials: Sequence[str], macs: Sequence[str] = ()) -> GuestOS:
    """Describe the one operating system on the disks with these serials, in the machine's order.

    Every file system is mounted read-only, without replaying its journal. InspectionError when
    there is no system, when there are several, or when parts of it cannot be reached; it names
    what was found instead.
    """
    filesystems = _file_systems(remote, serials)
    blockdevices.refuse_hibernated(filesystems)
    trees = _read(remote, filesystems)
    root = _only_root(trees, filesystems)
    os_release = _os_release(root.facts["os-release"])
    found = system_mounts(root.facts.get("fstab", ""), root.filesystem, filesystems)
    return GuestOS(
        family=_family(os_release),
        id=os_release.get("ID", "linux"),
        version=os_release.get("VERSION_ID", ""),
        pretty_name=os_release.get("PRETTY_NAME", os_release.get("ID", "Linux")),
        mounts=_with_subvolume(found.mounts, root),
        kernels=_kernels(root, trees, found.mounts),
        macs=tuple(macs),
        filesystems=filesystems,
        notes=(*found.notes, *_dirty(trees, found.mounts)),
    )


def _file_systems(remote: Remote, serials: Sequence[str]) -> tuple[FileSystem, ...]:
    listed = remote.run(["sh", "-c", _LIST_DISKS, "sh", *serials], timeout=120)
    kernel_names, _, listing = listed.stdout.partition("\n\n")
    stable = [f"/dev/disk/by-id/virtio-{serial}" for serial in serials]
    return blockdevices.file_systems(
        listing, dict(zip(kernel_names.splitlines(), stable, strict=True))
    )


def _read(remote: Remote, filesystems: Sequence[FileSystem]) -> tuple[_Tree, ...]:
    readable = [f for f in filesystems if f.fstype in blockdevices.READABLE]
    arguments = [word for f in readable for word in (f.fstype, f.device)]
    answer = remote.run(["sh", "-c", _READ_FACTS, "sh", *arguments], timeout=300, check=True)
    trees: dict[str, _Tree] = {}
    for line in answer.stdout.splitlines():
        where, fact, content = line.split(" ")
        number, _, subvolume = where.partition("/")
        tree = trees.setdefault(where, _Tree(readable[int(number)], subvolume))
        tree.facts[fact] = base64.b64decode(content).decode(errors="replace")
    return tuple(trees.values())


def _only_root(trees: Sequence[_Tree], filesystems: Sequence[FileSystem]) -> _Tree:
    """Choose the tree with an os-release file; an fstab decides between several."""
    roots = [tree for tree in trees if "os-release" in tree.facts]
    if len(roots) > 1:
        roots = [tree for tree in roots if "fstab" in tree.facts] or roots
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise InspectionError(
            "several operating systems are on the disks: " + "; ".join(map(str, roots)),
            "move a machine with one of them, or deploy with skip_os_morphing",
        )
    raise _nothing_found(trees, filesystems)


def _nothing_found(trees: Sequence[_Tree], filesystems: Sequence[FileSystem]) -> InspectionError:
    stacked = blockdevices.stacked(filesystems)
    if stacked:
        return InspectionError(
            "no operating system is on a plain partition; found " + ", ".join(stacked),
            "LVM, RAID and encrypted volumes cannot be adapted yet: deploy with skip_os_morphing",
        )
    unreadable = [
        f"{tree.filesystem.fstype} on {blockdevices.place(tree.filesystem)}, which cannot be "
        f"mounted ({' '.join(tree.facts['unreadable'].split())})"
        for tree in trees
        if "unreadable" in tree.facts
    ]
    seen = [f"{f.fstype} on {blockdevices.place(f)}" for f in filesystems]
    return InspectionError(
        "no operating system is on the disks; found "
        + (", ".join(unreadable or seen) or "no file system at all"),
        "deploy with skip_os_morphing if the machine needs no adaption",
    )


def _os_release(text: str) -> Mapping[str, str]:
    """Read an os-release file. Format: os-release(5), shell-like assignments."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                found[name] = value
    return found


def _family(os_release: Mapping[str, str]) -> Family:
    for word in (os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()):
        for family, ids in _FAMILIES.items():
            if word in ids:
                return family
    return Family.UNKNOWN


def _with_subvolume(mounts: tuple[Mount, ...], root: _Tree) -> tuple[Mount, ...]:
    if not root.subvolume or mounts[0].options:
        return mounts
    options = f"subvol={root.subvolume}"
    return (mounts[0].model_copy(update={"options": options}), *mounts[1:])


def _kernels(root: _Tree, trees: Sequence[_Tree], mounts: Sequence[Mount]) -> tuple[str, ...]:
    """Versions that have modules and an image in /boot, newest first."""
    boot_devices = {mount.device for mount in mounts if mount.path == "/boot"}
    names = set(root.lines("boot"))
    for tree in trees:
        if tree.filesystem.device in boot_devices:
            names |= set(tree.lines("top"))
    versions = [v for v in root.lines("modules") if f"vmlinuz-{v}" in names]
    return tuple(sorted(versions, key=_natural, reverse=True))


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(d or -1), text) for d, text in re.findall(r"(\d+)|(\D+)", version)]


def _dirty(trees: Sequence[_Tree], mounts: Sequence[Mount]) -> tuple[str, ...]:
    paths = {mount.device: mount.path for mount in mounts}
    return tuple(
        f"{paths[tree.filesystem.device]} was in use when it was copied; its journal is replayed"
        for tree in trees
        if "dirty" in tree.facts and tree.filesystem.device in paths
    )
