# SPDX-License-Identifier: Apache-2.0
"""Images of several families, built by made-up programs, read by our own scripts in a chroot."""

import gzip
import struct
from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.cpio import archive, image
from tests.unit.morphing import chroots
from tests.unit.morphing.chroots import NEW, OLD, SUSE
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, MorphOptions
from tradewind.morphing import backup
from tradewind.morphing.linux.boot import kernels
from tradewind.morphing.linux.boot.builders import DRACUT_DROP_IN
from tradewind.morphing.linux.steps import initramfs

OPTIONS = MorphOptions()
RED_HAT = chroots.on_lvm(Family.RED_HAT, "Red Hat Enterprise Linux 9.5")


def built(guest: ChrootedGuest) -> list[str]:
    return [call for call in guest.calls if call.startswith("dracut --force")]


@pytest.fixture
def red_hat(tmp_path: Path, chroot_template: Path) -> ChrootedGuest:
    files = chroots.kernel(NEW) | chroots.kernel(OLD)
    files |= {
        "/boot/vmlinuz-0-rescue-abc": "a kernel",
        "/boot/initramfs-0-rescue-abc.img": "an image",
        f"/boot/initramfs-{NEW}kdump.img": "an image",
    }
    return chroots.guest(tmp_path, chroot_template, files)


def test_dracut_rebuilds_every_kernel_and_no_other_image(red_hat: ChrootedGuest) -> None:
    outcome = initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert outcome.summary == (
        f"added virtio_blk, virtio_pci, virtio_scsi in the images of {NEW}, {OLD}"
    )
    assert built(red_hat) == [
        f"dracut --force /boot/initramfs-{version}.img {version}" for version in (NEW, OLD)
    ]
    assert red_hat.read_text(DRACUT_DROP_IN).splitlines()[1:] == [
        'add_drivers+=" virtio_pci virtio_blk virtio_scsi sd_mod virtio_net xfs dm_mod "',
        'add_dracutmodules+=" lvm dm "',
    ]
    assert red_hat.read_text(f"/boot/initramfs-{NEW}kdump.img") == "an image"
    assert not initramfs.apply(red_hat, RED_HAT, OPTIONS).changed
    assert len(built(red_hat)) == 2


def test_an_image_is_renewed_when_a_file_in_it_changed(red_hat: ChrootedGuest) -> None:
    initramfs.apply(red_hat, RED_HAT, OPTIONS)
    red_hat.put("/etc/lvm/lvm.conf", "a filter")
    backup.rewrite(red_hat, "/etc/lvm/lvm.conf", "another filter")
    outcome = initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert outcome.summary == f"renewed /etc/lvm/lvm.conf in the images of {NEW}, {OLD}"
    assert not initramfs.apply(red_hat, RED_HAT, OPTIONS).changed


@pytest.mark.parametrize(("systemd", "renewed"), [("239", True), ("", True), ("240", False)])
def test_names_of_nics_are_put_in_where_they_are_final_there(
    red_hat: ChrootedGuest, systemd: str, *, renewed: bool
) -> None:
    initramfs.apply(red_hat, RED_HAT, OPTIONS)
    if systemd:
        red_hat.put(f"/usr/lib/systemd/libsystemd-shared-{systemd}.so", "")
    link = "/etc/systemd/network/10-tradewind-525400aa0001.link"
    red_hat.put(link, "[Match]\n")
    outcome = initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert outcome.changed is renewed
    assert (f"renewed {link}" in outcome.summary) is renewed
    assert not initramfs.apply(red_hat, RED_HAT, OPTIONS).changed


def test_a_failure_of_the_first_kernel_keeps_its_image(red_hat: ChrootedGuest) -> None:
    before = red_hat.read_text(f"/boot/initramfs-{NEW}.img")
    red_hat.put(f"/var/lib/fake/{NEW}", image(chroots.BEFORE, NEW))
    with pytest.raises(MorphingError, match=f"{NEW} still lacks virtio_pci, virtio_blk"):
        initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert red_hat.read_text(f"/boot/initramfs-{NEW}.img") == before


def test_a_failure_of_another_kernel_is_told(red_hat: ChrootedGuest) -> None:
    before = red_hat.read_text(f"/boot/initramfs-{OLD}.img")
    red_hat.remove(f"/var/lib/fake/{OLD}")
    outcome = initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert outcome.summary.endswith(f"in the images of {NEW}")
    assert outcome.remedy == (
        f"{OLD} keeps its old image and may not start: dracut could not build the image of {OLD}"
    )
    assert red_hat.read_text(f"/boot/initramfs-{OLD}.img") == before


def test_a_full_boot_partition_is_said_before_anything_is_built(red_hat: ChrootedGuest) -> None:
    red_hat.program("df", "echo /dev/vda1 1000000 999999 1 100% /boot")
    with pytest.raises(MorphingError, match="0 MiB are free beside it") as caught:
        initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert "remove old kernels" in caught.value.hint
    assert built(red_hat) == []


def test_suse_keeps_the_parameters_that_its_images_kept(
    tmp_path: Path, chroot_template: Path
) -> None:
    kept = "rd.lvm.lv=system/root rd.driver.post=x root=/dev/sda2"
    files = chroots.kernel(SUSE, name="initrd-{}", parameters=kept)
    packed = gzip.compress(files[f"/boot/initrd-{SUSE}"])  # type: ignore[arg-type]
    files[f"/boot/initrd-{SUSE}"] = archive({"early_cpio": "", "kernel/x86/a.bin": ""}) + packed
    guest = chroots.guest(tmp_path, chroot_template, files)
    os = chroots.on_lvm(Family.SUSE, "SUSE Linux Enterprise Server 15 SP6")
    assert initramfs.apply(guest, os, OPTIONS).changed
    assert built(guest) == [
        f"dracut --force --compress gzip -3 --no-hostonly-cmdline /boot/initrd-{SUSE} {SUSE}"
    ]
    assert 'kernel_cmdline+=" rd.lvm.lv=system/root "\n' in guest.read_text(DRACUT_DROP_IN)


def test_a_root_on_lvm_needs_its_program_in_the_image(red_hat: ChrootedGuest) -> None:
    for version in (NEW, OLD):
        without = tuple(name for name in chroots.DRIVERS if name != "dm_mod")
        red_hat.put(f"/boot/initramfs-{version}.img", image(without, version))
    outcome = initramfs.apply(red_hat, RED_HAT, OPTIONS)
    assert outcome.summary.startswith("added dm_mod, lvm in")


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("2.6.18-8.el5xen", False),
        ("3.0.101-63-xen", False),
        ("2.6.9-5.ELxenU", False),
        ("2.6.32-5-xen-amd64", True),
        ("6.1.0-18-amd64", True),
    ],
)
def test_kernels_for_xen_alone_do_not_count(version: str, fits: bool) -> None:
    kernel = kernels.KernelVersion(version, built_in={"virtio_pci", "virtio_blk"})
    assert bool(kernel.unfit) is not fits


def test_the_best_kernel_is_new_and_ordinary() -> None:
    drivers = {"virtio_pci", "virtio_blk"}
    debug = kernels.KernelVersion("6.9.0+debug", built_in=drivers)
    usual = kernels.KernelVersion("6.8.0", built_in=drivers)
    bare = kernels.KernelVersion("7.0.0")
    assert kernels.best([bare, debug, usual]) is usual
    assert kernels.best([bare, debug]) is debug
    assert kernels.best([bare]) is None


def test_mkinitcpio_is_told_the_modules(tmp_path: Path, chroot_template: Path) -> None:
    version = "6.9.1-arch1-1"
    files = chroots.kernel(version, name="initramfs-linux.img")
    files |= {
        f"/lib/modules/{version}/pkgbase": "linux\n",
        "/boot/vmlinuz-linux": files.pop(f"/boot/vmlinuz-{version}"),
        "/etc/mkinitcpio.conf": 'MODULES=(ext4)\nHOOKS="base udev"\n',
    }
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    guest.program("lsblk")
    guest.program("mkinitcpio", 'cat "/var/lib/fake/$2" >"$4"')
    os = RED_HAT.model_copy(update={"family": Family.UNKNOWN, "mounts": ()})
    assert initramfs.apply(guest, os, OPTIONS).changed
    assert guest.read_text("/etc/mkinitcpio.conf").startswith(
        "MODULES=(ext4 virtio_pci virtio_blk virtio_scsi sd_mod virtio_net)\n"
    )
    assert guest.calls[-1] == f"mkinitcpio -k {version} -g /boot/initramfs-linux.img"


def test_old_suse_lists_its_modules(tmp_path: Path, chroot_template: Path) -> None:
    version = "3.0.101-63-default"
    files = chroots.kernel(version, name="initrd-{}")
    files["/etc/sysconfig/kernel"] = 'INITRD_MODULES="ata_piix xennet"\n'
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    guest.program("lsblk")
    guest.program("mkinitrd", f'cat /var/lib/fake/{version} >"/boot/$4"')
    os = chroots.on_lvm(Family.SUSE, "SLES 11")
    assert initramfs.apply(guest, os, OPTIONS).changed
    assert "ata_piix xennet virtio_pci virtio_blk" in guest.read_text("/etc/sysconfig/kernel")
    assert guest.calls[-1] == f"mkinitrd -k vmlinuz-{version} -i initrd-{version}"


def test_hostile_names_of_kernels_are_passed_over(red_hat: ChrootedGuest) -> None:
    red_hat.put("/lib/modules/-rf $(reboot)/modules.dep", "")
    versions = [kernel.version for kernel in kernels.survey(red_hat)]
    assert versions == [NEW, OLD]


def test_a_guest_without_a_builder_is_told(tmp_path: Path, chroot_template: Path) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, chroots.kernel(NEW))
    guest.program("lsblk")
    with pytest.raises(MorphingError, match="nothing in the guest builds"):
        initramfs.apply(guest, RED_HAT, OPTIONS)


def unified(content: bytes) -> bytes:
    """Write the least of a PE file: a header at 64, an optional header of 16, two sections."""
    header = bytearray(64 + 24 + 16 + 80)
    header[60:64] = struct.pack("<I", 64)
    header[64 + 6 : 64 + 8] = struct.pack("<H", 2)
    header[64 + 20 : 64 + 22] = struct.pack("<H", 16)
    rows = struct.pack("<8sIIII16x", b".linux", 8, 0, 512, len(header))
    rows += struct.pack("<8sIIII16x", b".initrd", len(content), 0, 0, len(header) + 8)
    header[104:] = rows
    return bytes(header) + b"a kernel" + content + b"a signature"


@pytest.mark.parametrize("holds", [chroots.DRIVERS + chroots.PROGRAMS, chroots.BEFORE])
def test_a_unified_image_is_read_and_not_changed(
    tmp_path: Path, chroot_template: Path, holds: tuple[str, ...]
) -> None:
    files = chroots.kernel(NEW)
    del files[f"/boot/vmlinuz-{NEW}"], files[f"/boot/initramfs-{NEW}.img"]
    path = f"/boot/efi/EFI/Linux/abc-{NEW}.efi"
    files[path] = unified(gzip.compress(image(holds, NEW)))
    guest = chroots.guest(tmp_path, chroot_template, files)
    if holds is not chroots.BEFORE:
        assert not initramfs.apply(guest, RED_HAT, OPTIONS).changed
        return
    with pytest.raises(MorphingError, match="in one file, without virtio_pci, virtio_blk"):
        initramfs.apply(guest, RED_HAT, OPTIONS)
    assert built(guest) == []
