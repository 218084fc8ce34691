# SPDX-License-Identifier: Apache-2.0
"""Guests of the Debian family, as morphing finds them."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import chrooted
from tests.fakes.debian import FakeDebian
from tradewind.model.guest import Family, FileSystem, GuestOS, Mount
from tradewind.morphing import confinement

KERNEL = "6.1.0-18-amd64"

FILES = {
    "/etc/fstab": (
        "# <file system> <mount point> <type> <options> <dump> <pass>\n"
        "/dev/sda1 / ext4 errors=remount-ro 0 1\n"
        "/dev/sda5 none swap sw 0 0\n"
        "/dev/sdb1 /srv/data ext4 defaults 0 2\n"
        "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n"
    ),
    "/etc/default/grub": (
        "GRUB_TIMEOUT=1\n"
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=/dev/sda5"\n'
        "GRUB_DISABLE_LINUX_UUID=true\n"
    ),
    "/boot/grub/grub.cfg": "linux /boot/vmlinuz root=/dev/sda1 ro quiet resume=/dev/sda5\n",
    "/boot/grub/device.map": "(hd0) /dev/disk/by-id/ata-QEMU_HARDDISK_QM00001\n",
    "/etc/initramfs-tools/modules": "# List of modules\next4\nahci",
    "/etc/initramfs-tools/conf.d/resume": "RESUME=/dev/sda5\n",
    f"/boot/initrd.img-{KERNEL}": "an image",
    "/usr/sbin/update-initramfs": "",
    "/etc/lvm/cache/.cache": "what LVM saw",
    "/sbin/ifup": "",
    "/etc/ssh/ssh_host_ed25519_key": "a key",
    "/etc/network/interfaces": (
        "source /etc/network/interfaces.d/*\n"
        "\n"
        "auto lo\n"
        "iface lo inet loopback\n"
        "\n"
        "auto enp0s3\n"
        "iface enp0s3 inet static\n"
        "    address 198.18.0.50/24\n"
        "    gateway 198.18.0.1\n"
        "    dns-nameservers 198.18.0.1\n"
        "    mtu 1400\n"
    ),
    "/etc/udev/rules.d/70-persistent-net.rules": (
        "# PCI device\n"
        'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="52:54:00:aa:00:02", '
        'ATTR{dev_id}=="0x0", ATTR{type}=="1", KERNEL=="eth*", NAME="backup0"\n'
    ),
}


def filesystem(disk: int, partition: int, fstype: str, uuid: str = "") -> FileSystem:
    part = f"-part{partition}" if partition else ""
    return FileSystem(
        device=f"/dev/disk/by-id/virtio-twdisk{disk}{part}",
        disk=disk,
        partition=partition,
        fstype=fstype,
        uuid=uuid or f"{disk}{partition}-uuid",
    )


@pytest.fixture
def only_mount() -> Iterator[None]:
    """Have the place where guests are mounted to itself: files of tests run side by side."""
    with (Path(tempfile.gettempdir()) / "tradewind-tests-mount.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def debian(tmp_path: Path) -> FakeDebian:
    """Debian 12 with fixed addresses, device names in its files and no VirtIO in its image."""
    return FakeDebian(tmp_path / "guest", FILES)


@pytest.fixture
def found() -> GuestOS:
    """What inspection says of it."""
    root = filesystem(0, 1, "ext4")
    return GuestOS(
        family=Family.DEBIAN,
        id="debian",
        version="12",
        pretty_name="Debian GNU/Linux 12 (bookworm)",
        mounts=(Mount(device=root.device, path="/", fstype="ext4"),),
        kernels=(KERNEL,),
        macs=("52:54:00:aa:00:01", "52:54:00:aa:00:02"),
        filesystems=(root, filesystem(0, 5, "swap"), filesystem(1, 1, "ext4")),
    )


@pytest.fixture(autouse=True)
def kept_apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is placed in a worker is not left on this machine."""
    folder = tmp_path_factory.getbasetemp() / "tradewind-guest"
    monkeypatch.setattr(confinement, "FOLDER", str(folder))


@pytest.fixture(scope="session")
def chroot_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the programs that our scripts call, to be copied."""
    return chrooted.build(tmp_path_factory.mktemp("chroot"))
