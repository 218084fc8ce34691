# SPDX-License-Identifier: Apache-2.0
"""Guests in every kind of stack, built inside a worker on its blank disks."""

from dataclasses import dataclass, field
from typing import Final

from tradewind.ports import Remote

KEY: Final = b"correct horse battery staple"
KERNEL: Final = "6.1.0-18-amd64"

# `system FOLDER NAME FSTAB` makes a root that can be adapted: busybox runs in it.
FUNCTIONS: Final = f"""
set -eu
export LVM_SUPPRESS_FD_WARNINGS=1 MKE2FS_SKIP_CHECK_MSG=1
at=/mnt/build
disk() {{ readlink -f "/dev/disk/by-id/virtio-$1"; }}
gpt() {{
    device=$(disk "$1"); shift
    for part; do echo "$part"; done | sfdisk -q --label gpt "$device"
    udevadm settle
}}
mounted() {{ mkdir -p "$at"; mount "$@" "$at"; }}
system() {{
    mkdir -p "$1/bin" "$1/usr/bin" "$1/usr/sbin" "$1/etc" "$1/boot" "$1/var" "$1/tmp"
    cp /bin/busybox "$1/bin/busybox"
    for name in sh cat head readlink mkdir dirname rm cp mv chmod grep ls test lsattr; do
        ln -s busybox "$1/bin/$name"
    done
    ln -s /bin/busybox "$1/usr/bin/env"
    printf 'ID=debian\\nVERSION_ID=12\\nPRETTY_NAME="%b"\\n' "$2" >"$1/etc/os-release"
    printf '%s\\n' "$3" >"$1/etc/fstab"
    mkdir -p "$1/usr/lib/modules/{KERNEL}"
    [ -e "$1/lib" ] || ln -s usr/lib "$1/lib"
    : >"$1/boot/vmlinuz-{KERNEL}"
    : >"$1/boot/initrd.img-{KERNEL}"
}}
quick_lvm() {{ lvm "$@" --yes; }}
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """A guest to build: on how many disks of 2 GiB, how, and what inspection shall say of it."""

    name: str
    disks: int
    build: str
    mounts: tuple[str, ...] = ("/",)
    layers: tuple[str, ...] = ()
    error: str = ""
    keys: tuple[bytes, ...] = ()
    root_device: str = ""
    notes: tuple[str, ...] = ()
    sector: int = 512
    # What CI has no time for: `make test-all` looks at it.
    slow: bool = False
    serials: list[str] = field(default_factory=list)


STACKS: Final = (
    Stack(
        name="ext4 and XFS that were in use when they were copied",
        disks=1,
        # Everything is in the journals alone: XFS_IOC_GOINGDOWN, which ext4 has as well, writes
        # the log and then nothing more, as at a power cut.
        build="""
            gpt $1 size=1G -
            mkfs.ext4 -q -L root $(disk $1)1
            mkfs.xfs -q -L var $(disk $1)2
            cut() {
                find "$at" -type f -exec sync {} +
                xfs_io -x -c 'shutdown -f' "$at"
                umount "$at"
            }
            mounted LABEL=root
            system $at Busy 'LABEL=root / ext4 defaults 0 1
                LABEL=var /var xfs defaults 0 2'
            cut
            mounted LABEL=var
            mkdir $at/lib
            cut
        """,
        mounts=("/", "/var"),
        notes=(
            "/ was in use when it was copied; its journal is replayed",
            "/var was in use when it was copied; its journal is replayed",
        ),
    ),
    Stack(
        name="LVM on plain partitions, of a volume group that the worker has too",
        slow=True,
        disks=2,
        build="""
            gpt $1 size=100M,type=uefi size=300M -
            gpt $2 -
            mkfs.vfat -n EFI $(disk $1)1 >/dev/null
            mkfs.ext2 -q -L boot $(disk $1)2
            quick_lvm vgcreate -q vg-0 $(disk $1)3 $(disk $2)1
            quick_lvm lvcreate -q -L 1G -n root vg-0 $(disk $1)3
            quick_lvm lvcreate -q -L 1G -n var vg-0 $(disk $2)1
            mkfs.xfs -q /dev/vg-0/root
            mkfs.ext4 -q /dev/vg-0/var
            mounted /dev/vg-0/root
            system $at LVM '/dev/mapper/vg--0-root / xfs defaults 0 0
                LABEL=boot /boot ext2 defaults 0 2
                /dev/vg-0/var /var ext4 defaults 0 2
                LABEL=EFI /boot/efi vfat umask=0077,x-systemd.automount 0 1'
            mount $(disk $1)2 $at/boot
            : >$at/boot/vmlinuz-6.1.0-18-amd64
            mkdir $at/boot/efi
            umount -R $at
            lvm vgchange -q -an vg-0
            # The worker's own, of the same name, while it is in use.
            quick_lvm vgcreate --devices $(disk own) -q vg-0 $(disk own)
            quick_lvm lvcreate --devices $(disk own) -q -L 200M -n root vg-0
            mkfs.ext4 -q /dev/vg-0/root
            mkdir -p /mnt/own && mount /dev/vg-0/root /mnt/own && echo mine >/mnt/own/mine
        """,
        mounts=("/", "/boot", "/var", "/boot/efi"),
        layers=("logical volume vg-0/root",),
    ),
    Stack(
        name="LVM on LUKS on md RAID 1 that lacks a member",
        disks=2,
        build="""
            gpt $1 size=300M - ; gpt $2 -
            mkfs.ext4 -q -L kboot $(disk $1)1
            mdadm --quiet --create /dev/md/tresor --name tresor --homehost other --level 1 \
                --raid-devices 3 --assume-clean --run $(disk $1)2 $(disk $2)1 missing
            printf %s "$KEY" | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
                --pbkdf-force-iterations 1000 --key-file - /dev/md/tresor
            printf %s "$KEY" | cryptsetup open --key-file - /dev/md/tresor building
            quick_lvm vgcreate -q deep /dev/mapper/building
            quick_lvm lvcreate -q -L 800M -n system deep
            quick_lvm lvcreate -q -L 100M -n swap deep
            mkfs.ext4 -q /dev/deep/system
            mkswap -q /dev/deep/swap
            mounted /dev/deep/system
            system $at Deep '/dev/deep/system / ext4 defaults 0 1
                LABEL=kboot /boot ext4 defaults 0 2'
            echo "tresor UUID=$(cryptsetup luksUUID /dev/md/tresor) none luks" >$at/etc/crypttab
            umount $at
            lvm vgchange -q -an deep
            cryptsetup close building
            mdadm --quiet --stop /dev/md/tresor
        """,
        mounts=("/", "/boot"),
        layers=("logical volume deep/system", "LUKS container tresor", "md array tresor"),
        keys=(b"a wrong one", KEY),
        notes=("is degraded: 1 of 3 members missing",),
    ),
    Stack(
        name="btrfs in openSUSE's layout, with snapshots",
        slow=True,
        disks=1,
        build="""
            gpt $1 -
            mkfs.btrfs -q $(disk $1)1
            mounted $(disk $1)1
            btrfs -q subvolume create $at/@
            btrfs -q subvolume create $at/@/var
            mkdir $at/@/.snapshots $at/@/.snapshots/1
            btrfs -q subvolume create $at/@/.snapshots/1/snapshot
            uuid=$(blkid -o value -s UUID $(disk $1)1)
            system $at/@/.snapshots/1/snapshot Snapper "UUID=$uuid / btrfs defaults 0 0
                UUID=$uuid /var btrfs subvol=/@/var 0 0"
            mkdir $at/@/.snapshots/2
            btrfs -q subvolume snapshot -r $at/@/.snapshots/1/snapshot $at/@/.snapshots/2/snapshot
            btrfs -q subvolume snapshot $at/@/.snapshots/1/snapshot $at/backup
            btrfs -q subvolume set-default $at/@/.snapshots/1/snapshot
            umount $at
        """,
        mounts=("/", "/var"),
    ),
    Stack(
        name="btrfs as Debian installs it, chosen among two by root_device",
        slow=True,
        disks=1,
        build="""
            gpt $1 -
            mkfs.btrfs -q -L two $(disk $1)1
            mounted $(disk $1)1
            for name in @rootfs @other; do
                btrfs -q subvolume create $at/$name
                system $at/$name $name "LABEL=two / btrfs defaults,subvol=$name 0 0"
            done
            umount $at
        """,
        root_device="LABEL=two[/@other]",
    ),
    Stack(
        name="two roots",
        disks=2,
        build="""
            for number in 1 2; do
                eval gpt '"$'$number'"' - ; eval part='"$(disk $'$number')1"'
                mkfs.ext4 -q -L root$number $part
                mounted $part
                system $at "Root $number" "LABEL=root$number / ext4 defaults 0 1"
                umount $at
            done
        """,
        error=r"several operating systems .* Root 1 on partition 1 of disk 1 \(root_device UUID=.*"
        r"Root 2 on partition 1 of disk 2",
    ),
    Stack(
        name="hibernated",
        disks=1,
        build="""
            gpt $1 size=300M -
            mkswap -q $(disk $1)1
            printf S1SUSPEND | dd of=$(disk $1)1 bs=1 seek=4086 conv=notrunc status=none
            mkfs.ext4 -q $(disk $1)2
            mounted $(disk $1)2
            system $at Asleep ''
            umount $at
            udevadm trigger -w $(disk $1)1
        """,
        error="hibernated: partition 1 of disk 1",
    ),
    Stack(
        name="encrypted, and no key fits",
        disks=1,
        build="""
            gpt $1 -
            printf %s "$KEY" | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 \
                --key-file - $(disk $1)1
        """,
        keys=(b"a wrong one",),
        error="a LUKS container on partition 1 of disk 1, which stays closed "
        r"\(no key of “vault” fits\)",
    ),
    Stack(
        name="sectors of 4096 bytes",
        slow=True,
        disks=1,
        sector=4096,
        build="""
            gpt $1 size=100M,type=uefi -
            mkfs.vfat -n EFI $(disk $1)1 >/dev/null
            mkfs.xfs -q $(disk $1)2
            mounted $(disk $1)2
            system $at Large 'LABEL=EFI /boot/efi vfat umask=0077 0 1'
            mkdir $at/boot/efi
            umount $at
        """,
        mounts=("/", "/boot/efi"),
    ),
    Stack(
        name="hostile names",
        disks=1,
        build="""
            gpt $1 'size=400M,name="$(touch /tmp/pwned)"' -
            mkfs.ext4 -q -L '`touch /pwn`;' $(disk $1)1
            mkfs.ext4 -q $(disk $1)2
            mounted $(disk $1)2
            system $at "Evil \\033[31mred | x" '
                /dev/disk/by-label/\\x60touch\\x20\\x2fpwn\\x60\\x3b /boot ext4 defaults 0 2'
            ln -sf /proc/1/root/etc/shadow $at/etc/secret
            ln -sf /proc/sys/kernel/core_pattern $at/etc/kernel
            umount $at
        """,
        mounts=("/", "/boot"),
    ),
)  # fmt: skip


def build(remote: Remote, stack: Stack) -> None:
    """Build one guest on its disks."""
    script = f"KEY={KEY.decode()!r}\n{FUNCTIONS}\n{stack.build}"
    remote.run(["sh", "-c", script, "sh", *stack.serials], timeout=240)
