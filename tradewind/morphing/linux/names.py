# SPDX-License-Identifier: Apache-2.0
"""What the guest calls its block devices, in fstab(5), crypttab(5) and for its boot loader.

Names that stay (tags, logical volumes, containers, arrays) mean exactly one device. The kernel's
own names (/dev/sdb1) are read as `kernel_names.py` says. Names by hardware path or identity
(/dev/disk/by-id/ata-…) are the source's: they mean a device if only one can be meant.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.morphing.linux import kernel_names

# What udev makes of hardware: a disk, or a partition of one.
_HARDWARE_NAME: Final = re.compile(
    r"/dev/(?:disk/by-(?:id|path)/(?!dm-|md-|lvm-)[^/]+?|mapper/mpath[a-z]+)"
    r"(?:(?:-part|(?<=[a-z])p?)(?P<part>\d{1,3}))?"
)
# What device mapper is given as the name of a container.
MAPPING: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,100}")
_ARRAY: Final = re.compile(r"/dev/md/?(?:d?\d{1,3}|[^/]+)")

TAGS: Final[dict[str, Callable[[FileSystem], str]]] = {
    "UUID": lambda f: f.uuid,
    "LABEL": lambda f: f.label,
    "PARTUUID": lambda f: f.partuuid,
    "PARTLABEL": lambda f: f.partlabel,
}


def find(spec: str, filesystems: Sequence[FileSystem]) -> FileSystem | None:
    """Find what a guest's fstab(5) or boot loader calls `spec`; None when no disk has it."""
    return next(iter(find_all(spec, filesystems)), None)


def find_all(spec: str, filesystems: Sequence[FileSystem]) -> list[FileSystem]:
    """Find all that `spec` could mean; more than one has to be told to a person.

    The devices of one btrfs are one file system; a copy of such a device is another one.
    """
    found = _by_kernel_name(spec, filesystems)
    if found is None:
        tag, value = _tag(spec)
        found = _by_tag(tag, value, filesystems) if tag in TAGS else _by_name(spec, filesystems)
    copied = _copied(filesystems)
    return list(
        {(f.uuid if f.fstype == "btrfs" and f.uuid not in copied else f.device): f
         for f in reversed(found)}.values()
    )[::-1]  # fmt: skip


def surely(spec: str) -> bool:
    """Whether the name stays what it is when disks are plugged in elsewhere."""
    return kernel_names.split(spec) is None and not _HARDWARE_NAME.fullmatch(spec)


def at(spec: str, places: Sequence[FileSystem]) -> list[FileSystem] | None:
    """Find where on the disks a name means that changes; None for one that stays.

    `places` may be anything that lies there: partitions, file systems, parts of stacks.
    """
    split = kernel_names.split(spec)
    if split:
        name, partition = split
        return [f for f in places if f.partition == partition and name in _disk_names(f)]
    hardware = _HARDWARE_NAME.fullmatch(spec)
    if hardware:
        partition, family = int(hardware["part"] or 0), kernel_names.hardware_family(spec)
        return [f for f in places if f.partition == partition and _may_be(f, family)]
    return None


def _may_be(place: FileSystem, family: str) -> bool:
    """Whether a disk may be one of a driver; IDE disks have names of two kinds, and sd is one."""
    families = set(map(kernel_names.family, place.disk_names or ()))
    return not family or not families or family in families


def kernel_name(place: FileSystem) -> str:
    """Name a place on the disks as a kernel at the source may call it; its device if none does."""
    disk = next(iter(_disk_names(place)), "")
    return kernel_names.joined(disk, place.partition) if disk else place.device


def _disk_names(place: FileSystem) -> tuple[str, ...]:
    if place.disk_names is None:
        return kernel_names.by_position(place.disk)
    return place.disk_names


def _copied(filesystems: Sequence[FileSystem]) -> set[str]:
    """Name each btrfs of which one device is there twice: somebody copied the disk.

    Its devices have one UUID, and each a UUID_SUB (libblkid's word) and a partition of its own.
    """
    devices = Counter((f.uuid, f.member or f.partuuid) for f in filesystems if f.fstype == "btrfs")
    return {uuid for (uuid, device), count in devices.items() if device and count > 1}


def _by_kernel_name(spec: str, filesystems: Sequence[FileSystem]) -> list[FileSystem] | None:
    if kernel_names.split(spec) is None:
        return None
    return [f for f in at(spec, filesystems) or () if not f.layers]


def _by_tag(tag: str, value: str, filesystems: Sequence[FileSystem]) -> list[FileSystem]:
    if not value:
        return []
    same_case = tag in {"LABEL", "PARTLABEL"}

    def means(have: str) -> bool:
        return have == value or (not same_case and have.lower() == value.lower())

    return [f for f in filesystems if means(TAGS[tag](f))]


def _by_name(spec: str, filesystems: Sequence[FileSystem]) -> list[FileSystem]:
    named = [f for f in filesystems if spec in f.names]
    if named:
        return named
    if _HARDWARE_NAME.fullmatch(spec):
        return [f for f in at(spec, filesystems) or () if not f.layers]
    if _ARRAY.fullmatch(spec):
        return _on_only_array(filesystems)
    return []


def _on_only_array(filesystems: Sequence[FileSystem]) -> list[FileSystem]:
    """Find what stands on the only array: its number may change from boot to boot (md127)."""
    arrays = {f.layers[0].uuid: f for f in filesystems if _is_array(f)}
    return list(arrays.values()) if len(arrays) == 1 else []


def _is_array(filesystem: FileSystem) -> bool:
    return bool(filesystem.layers) and filesystem.layers[0].kind is LayerKind.MD


def _tag(spec: str) -> tuple[str, str]:
    if spec.startswith("/dev/disk/by-"):
        kind, _, value = spec.removeprefix("/dev/disk/by-").partition("/")
        # udev writes what a file name cannot hold as \xNN.
        unescaped = re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), value)
        return kind.upper(), unescaped
    tag, _, value = spec.partition("=")
    return tag, value.strip("\"'")


def on_disks(
    places: Sequence[FileSystem], disks: Sequence[tuple[str, ...]]
) -> tuple[FileSystem, ...]:
    """Say of places on the disks what the source's kernels may call each disk.

    Nothing is said of them when nothing is known of the disks (`disks` is empty).
    """
    if not disks:
        return tuple(places)
    return tuple(f.model_copy(update={"disk_names": disks[f.disk]}) for f in places)


def named(
    filesystems: Sequence[FileSystem], arrays: Sequence[tuple[str, str]]
) -> tuple[FileSystem, ...]:
    """Give file systems the names that follow from what they stand on.

    `arrays` are the device names and UUIDs of the guest's mdadm.conf.
    """
    return tuple(
        f.model_copy(update={"names": tuple(_names(f.layers[0], arrays))}) if f.layers else f
        for f in filesystems
    )


def _names(layer: Layer, arrays: Sequence[tuple[str, str]]) -> Iterator[str]:
    match layer.kind:
        case LayerKind.LVM:
            group, _, volume = layer.name.partition("/")
            mapped = f"{_doubled(group)}-{_doubled(volume)}"
            compact = f"{layer.group}{layer.uuid}".replace("-", "")
            yield f"/dev/mapper/{mapped}"
            yield f"/dev/{layer.name}"
            yield f"/dev/disk/by-id/dm-name-{mapped}"
            yield f"/dev/disk/by-id/dm-uuid-LVM-{compact}"
        case LayerKind.LUKS:
            # systemd's name for a container that no crypttab names; see its
            # systemd-cryptsetup-generator(8).
            for name in dict.fromkeys((layer.name, f"luks-{layer.uuid}")):
                if name:
                    yield f"/dev/mapper/{name}"
                    yield f"/dev/disk/by-id/dm-name-{name}"
        case LayerKind.MD:
            yield f"/dev/md/{layer.name}"
            yield f"/dev/disk/by-id/md-uuid-{layer.uuid}"
            if layer.name.isdecimal():
                yield f"/dev/md{layer.name}"
            yield from (name for name, uuid in arrays if uuid.lower() == layer.uuid.lower())


def _doubled(name: str) -> str:
    """As lvm(8) tells the dash in a name from the one between two names."""
    return name.replace("-", "--")


def containers(text: str) -> Iterator[tuple[str, str, str]]:
    """Read name, device and key of each line; the format is that of crypttab(5)."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 2 and not fields[0].startswith("#"):
            yield fields[0], fields[1], fields[2] if len(fields) > 2 else "none"


def arrays(text: str) -> Iterator[tuple[str, str]]:
    """Read device name and UUID of each ARRAY line. Format: mdadm.conf(5)."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].upper() == "ARRAY":
            for word in words[2:]:
                if word.upper().startswith("UUID="):
                    yield words[1], word[5:]
