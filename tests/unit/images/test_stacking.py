# SPDX-License-Identifier: Apache-2.0
"""The script that stacks up a layout: every step after what it stands on."""

import subprocess

import pytest

from images import layout, recipe, stacking


def script(name: str) -> str:
    wanted = recipe.load(name)
    planned = layout.load(wanted)
    assert planned is not None
    return stacking.script(wanted, planned, "echo installed\n")


def in_order(text: str, *parts: str) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


@pytest.mark.parametrize(
    "name",
    ["debian12-uefi-lvm", "debian12-btrfs", "debian12-luks-raid", "redhat-standin", "suse-standin"],
)
def test_it_is_a_shell_script(name: str) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=script(name), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_lvm_is_made_filled_and_given_up() -> None:
    text = script("debian12-uefi-lvm")
    assert in_order(
        text,
        "sgdisk --clear",
        "vgcreate --quiet ledger-vg /dev/disk/by-id/virtio-os-part3",
        "lvcreate --quiet --name=root --size=2560m ledger-vg",
        "mkfs.ext4",
        "mount  /dev/ledger-vg/root /mnt/",
        "mount  /dev/disk/by-id/virtio-os-part1 /mnt/boot/efi",
        "tar --extract",
        "echo installed",
        "umount --recursive /mnt",
        "vgchange --quiet --activate=n ledger-vg",
    )


def test_luks_stands_on_raid_and_is_given_up_first() -> None:
    text = script("debian12-luks-raid")
    assert in_order(
        text,
        "mdadm --create /dev/md/root",
        "cryptsetup luksFormat",
        "cryptsetup luksAddKey",
        "cryptsetup open",
        "tar --extract",
        "install -D -m 0400 /run/key /mnt/etc/keys/root.key",
        "echo installed",
        "cryptsetup close root_crypt",
        "mdadm --stop --quiet /dev/md/root",
    )
    assert "/dev/disk/by-id/virtio-os-part3 /dev/disk/by-id/virtio-mirror-part3" in text


def test_subvolumes_come_before_what_is_mounted_into_them_and_snapshots_last() -> None:
    text = script("suse-standin")
    assert in_order(
        text,
        "btrfs subvolume create '/mnt/@/.snapshots'",
        "btrfs subvolume create '/mnt/@/.snapshots/1/snapshot'",
        "btrfs subvolume set-default '/mnt/@/.snapshots/1/snapshot'",
        "mount -o subvol=@/.snapshots/1/snapshot",
        "mount -o subvol=@/var",
        "tar --extract",
        "umount --recursive /mnt",
        "subvolume snapshot -r '/mnt/@/.snapshots/1/snapshot' '/mnt/@/.snapshots/2/snapshot'",
    )


def test_a_disk_is_partitioned_in_one_go() -> None:
    assert (
        "sgdisk --clear --new=1:0:+1M --typecode=1:ef02 --new=2:0:0 --typecode=2:8300"
        " /dev/disk/by-id/virtio-os"
    ) in script("debian12-btrfs")
