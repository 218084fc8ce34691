# SPDX-License-Identifier: Apache-2.0
"""The script that stacks up a layout, unpacks the guest into it and installs its boot loader.

It runs in a virtual machine, since the kernel of the machine that builds may know nothing of
LVM, md and LUKS, and give loop devices no partitions. The guest's tree comes as a tar archive on
a disk of its own; the boot loader is the guest's, run in its root.

It is written anew for each layout, a line for each thing in it: there is no text to lie in a file.
"""

from collections.abc import Iterator
from typing import Final

from images.layout import (
    Encrypted,
    FileSystemRecipe,
    Layout,
    Partition,
    array_uuid,
    container_uuid,
    disk_device,
    identity,
)
from images.recipe import Recipe

TREE: Final = "tree"
"""The serial of the disk that holds the tar archive."""

_TOP: Final = "/mnt"
# sgdisk's short names: gdisk(8), "typecodes".
_TYPES: Final = {
    "esp": "ef00", "bios-boot": "ef02", "linux": "8300", "lvm": "8e00", "raid": "fd00",
    "swap": "8200",
}  # fmt: skip


def script(recipe: Recipe, layout: Layout, install: str) -> str:
    """Write it down; `install` is the recipe's own script for the guest's root."""
    return "\n".join(
        (
            "set -eu",
            *_partitions(layout),
            *_arrays(recipe, layout),
            *(line for each in layout.encrypted for line in _encrypted(recipe, layout, each)),
            *_volume_groups(layout),
            *(line for each in layout.filesystems for line in _filesystem(recipe, layout, each)),
            *_mounts(layout),
            f"tar --extract --numeric-owner --xattrs --xattrs-include='*' --directory={_TOP}"
            f" --file={disk_device(TREE)}",
            *_key_files(layout),
            *_install(layout, install),
            f"umount --recursive {_TOP}",
            *_snapshots(layout),
            *_take_down(layout),
            "sync",
        )
    )


def _partitions(layout: Layout) -> Iterator[str]:
    for disk in layout.disks:
        words = ["sgdisk", "--clear"]
        for number, part in enumerate(_of_disk(layout, disk.name), start=1):
            end = f"+{part.size_mib}M" if part.size_mib else "0"
            words += [f"--new={number}:0:{end}", f"--typecode={number}:{_TYPES[part.kind]}"]
        yield " ".join([*words, disk_device(disk.name), ">/dev/null"])
    yield "udevadm settle"


def _of_disk(layout: Layout, disk: str) -> list[Partition]:
    return [part for part in layout.partitions if part.disk == disk]


def _arrays(recipe: Recipe, layout: Layout) -> Iterator[str]:
    """Both halves are empty and equal: no first synchronization."""
    for array in layout.arrays:
        members = " ".join(layout.device(name) for name in array.on)
        yield (
            f"mdadm --create {layout.device(array.name)} --quiet --run --level=1 --assume-clean"
            f" --metadata=1.2 --homehost=any --name={array.name}"
            f" --uuid={array_uuid(recipe, array)} --raid-devices={len(array.on)} {members}"
        )


def _encrypted(recipe: Recipe, layout: Layout, crypt: Encrypted) -> Iterator[str]:
    """With the cheapest key derivation there is: the CPU may be emulated, now and at each boot."""
    device = layout.device(crypt.on)
    cheap = "--pbkdf=pbkdf2 --pbkdf-force-iterations=1000"
    yield f"printf %s '{crypt.passphrase}' >/run/passphrase"
    yield (
        f"cryptsetup luksFormat --batch-mode --type=luks2 {cheap} --key-file=/run/passphrase"
        f" --uuid={container_uuid(recipe, crypt)} {device}"
    )
    if crypt.key_file:
        yield "head -c 64 /dev/urandom >/run/key"
        yield f"cryptsetup luksAddKey {cheap} --key-file=/run/passphrase {device} /run/key"
    yield f"cryptsetup open --key-file=/run/passphrase {device} {crypt.name}"


def _volume_groups(layout: Layout) -> Iterator[str]:
    for group in layout.volume_groups:
        devices = " ".join(layout.device(name) for name in group.on)
        yield f"vgcreate --quiet {group.name} {devices} >/dev/null"
        for name, size in group.volumes.items():
            yield f"lvcreate --quiet --name={name} --size={size}m {group.name} >/dev/null"


def _filesystem(recipe: Recipe, layout: Layout, filesystem: FileSystemRecipe) -> Iterator[str]:
    device = layout.device(filesystem.on)
    uuid = identity(recipe, filesystem.on)
    label = f"-L '{filesystem.label}'" if filesystem.label else ""
    yield {
        "vfat": f"mkfs.vfat -F 32 -i {uuid.hex[:8]} {device} >/dev/null",
        "ext4": f"mkfs.ext4 -q -F {label} -U {uuid} -E lazy_itable_init=0,lazy_journal_init=0"
        f" {device}",
        "xfs": f"mkfs.xfs -q -f {label} -m uuid={uuid} {device}",
        "btrfs": f"mkfs.btrfs -q -f {label} -U {uuid} {device}",
        "swap": f"mkswap {label} -U {uuid} {device} >/dev/null",
    }[filesystem.kind]
    if filesystem.subvolumes:
        yield f"mount -o subvolid=5 {device} {_TOP}"
        for name in filesystem.subvolumes:
            yield f"mkdir -p $(dirname '{_TOP}/{name}')"
            yield f"btrfs subvolume create '{_TOP}/{name}' >/dev/null"
        if filesystem.default_subvolume:
            yield f"btrfs subvolume set-default '{_TOP}/{filesystem.default_subvolume}'"
        yield f"umount {_TOP}"


def _mounts(layout: Layout) -> Iterator[str]:
    wanted = [(each.mount, each, "") for each in layout.filesystems if each.mount]
    wanted += [
        (mount, each, f"-o subvol={name}")
        for each in layout.filesystems
        for name, mount in each.subvolumes.items()
        if mount
    ]
    for mount, each, options in sorted(wanted, key=lambda row: row[0]):
        yield f"mkdir -p {_TOP}{mount}"
        yield f"mount {options} {layout.device(each.on)} {_TOP}{mount}"


def _key_files(layout: Layout) -> Iterator[str]:
    for crypt in layout.encrypted:
        if crypt.key_file:
            yield f"install -D -m 0400 /run/key {_TOP}{crypt.key_file}"


def _install(layout: Layout, install: str) -> Iterator[str]:
    """Run the recipe's script in the guest's root; "$@" are the disks, as the kernel calls them."""
    for folder in ("dev", "proc", "sys"):
        # The firmware's variables are below /sys.
        yield f"mount --rbind /{folder} {_TOP}/{folder}"
    # GRUB asks udev what is stacked on what.
    yield f"mount --bind --mkdir /run/udev {_TOP}/run/udev"
    disks = " ".join(disk_device(disk.name) for disk in layout.disks)
    yield f"cat >{_TOP}/root/install <<'END OF INSTALL'\n{install}\nEND OF INSTALL"
    yield f"chroot {_TOP} sh -eu /root/install $(readlink -f {disks})"
    yield f"rm {_TOP}/root/install"


def _snapshots(layout: Layout) -> Iterator[str]:
    for filesystem in layout.filesystems:
        if filesystem.snapshots:
            yield f"mount -o subvolid=5 {layout.device(filesystem.on)} {_TOP}"
            for copy, original in filesystem.snapshots.items():
                yield f"mkdir -p $(dirname '{_TOP}/{copy}')"
                yield f"btrfs -q subvolume snapshot -r '{_TOP}/{original}' '{_TOP}/{copy}'"
            yield f"umount {_TOP}"


def _take_down(layout: Layout) -> Iterator[str]:
    for group in layout.volume_groups:
        yield f"vgchange --quiet --activate=n {group.name} >/dev/null"
    for crypt in layout.encrypted:
        yield f"cryptsetup close {crypt.name}"
    for array in layout.arrays:
        yield f"mdadm --stop --quiet {layout.device(array.name)}"
