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


CONSOLES = "console=tty0 console=ttyS0,115200"


def unified(
    content: bytes, line: str = f"root=UUID=x ro {CONSOLES}", *, signed: bool = False
) -> bytes:
    """Write the least of a PE file: a header at 64, one of 240 bytes more, three sections."""
    header = bytearray(64 + 24 + 240 + 120)
    header[60:64] = struct.pack("<I", 64)
    header[64 + 6 : 64 + 8] = struct.pack("<H", 3)
    header[64 + 20 : 64 + 22] = struct.pack("<H", 240)
    header[64 + 24 : 64 + 26] = struct.pack("<H", 0x20B)
    header[64 + 172 : 64 + 176] = struct.pack("<I", 11 if signed else 0)
    parts = {b".linux": b"a kernel", b".cmdline": line.encode(), b".initrd": content}
    rows, at = b"", len(header)
    for name, part in parts.items():
        rows += struct.pack("<8sIIII16x", name, len(part), 0, 512, at)
        at += len(part)
    header[64 + 24 + 240 :] = rows
    return bytes(header) + b"".join(parts.values()) + b"a signature"


UKI = f"/boot/efi/EFI/Linux/abc-{NEW}.efi"
# A fake ukify: what it makes was laid down before.
UKIFY = """
for word; do
    case $word in
        --initrd=*) initrd=${word#*=} ;;
        --output=*) output=${word#*=} ;;
    esac
done
[ -e "$initrd" ] || { echo "no initrd" >&2; exit 1; }
cat "/var/lib/fake/uki" >"$output"
"""


def uki_guest(
    tmp_path: Path, template: Path, before: bytes, after: bytes, *programs: str
) -> ChrootedGuest:
    """Make a guest that starts from one file; its ukify makes `after` of whatever it is given."""
    files = chroots.kernel(NEW)
    del files[f"/boot/initramfs-{NEW}.img"]
    guest = chroots.guest(tmp_path, template, files | {UKI: before, "/var/lib/fake/uki": after})
    for program in programs:
        guest.program(program, UKIFY)
    return guest


GOOD = gzip.compress(image(chroots.DRIVERS + chroots.PROGRAMS, NEW))
LACKING = gzip.compress(image(chroots.BEFORE, NEW))


def test_a_unified_image_that_has_all_is_left_alone(tmp_path: Path, chroot_template: Path) -> None:
    guest = uki_guest(tmp_path, chroot_template, unified(GOOD, signed=True), b"", "ukify")
    assert not initramfs.apply(guest, RED_HAT, OPTIONS).changed


def test_a_unified_image_is_made_anew_by_the_guests_ukify(
    tmp_path: Path, chroot_template: Path
) -> None:
    before = unified(LACKING, "root=UUID=x ro")
    guest = uki_guest(tmp_path, chroot_template, before, unified(GOOD), "ukify")
    outcome = initramfs.apply(guest, RED_HAT, OPTIONS)
    assert outcome.summary.endswith(f"virtio_scsi in the images of {NEW}")
    (call,) = [call for call in guest.calls if call.startswith("ukify")]
    initrd = f"{backup.FOLDER}/initrd-for-unified-{NEW}"
    assert call == (
        f"ukify build --linux=/boot/vmlinuz-{NEW} --initrd={initrd} --uname={NEW}"
        f" --cmdline=root=UUID=x ro {CONSOLES} --os-release=@/etc/os-release"
        f" --output={UKI}.tradewind-new"
    )
    assert not guest.exists(initrd)
    assert (guest.root / backup.FOLDER.lstrip("/") / UKI.lstrip("/")).read_bytes() == before
    assert not initramfs.apply(guest, RED_HAT, OPTIONS).changed


def test_names_of_disks_in_a_unified_image_become_lasting(
    tmp_path: Path, chroot_template: Path
) -> None:
    """Nothing else tells: the image has all drivers, and its root is a name of the old machine."""
    named = RED_HAT.filesystems[2].model_copy(update={"names": ("/dev/sda3",)})
    os = RED_HAT.model_copy(update={"filesystems": (*RED_HAT.filesystems[:2], named)})
    guest = uki_guest(
        tmp_path, chroot_template, unified(GOOD, "root=/dev/x resume=/dev/sda3"),
        unified(GOOD, f"root=/dev/x resume=UUID=swap-uuid {CONSOLES}"), "ukify",
    )  # fmt: skip
    outcome = initramfs.apply(guest, os, OPTIONS)
    assert outcome.summary == f"added lasting names of disks in the images of {NEW}"
    assert "--cmdline=root=/dev/x resume=UUID=swap-uuid" in guest.calls[-1]


def test_names_that_nothing_stays_for_are_told(tmp_path: Path, chroot_template: Path) -> None:
    guest = uki_guest(tmp_path, chroot_template, unified(GOOD, "root=/dev/sdk9 ro"), b"")
    outcome = initramfs.apply(guest, RED_HAT, OPTIONS)
    assert not outcome.changed
    assert outcome.remedy == f"{UKI} names /dev/sdk9, on no moved disk: look at it"


def test_another_command_line_than_was_asked_for_is_refused(
    tmp_path: Path, chroot_template: Path
) -> None:
    before, after = unified(LACKING), unified(GOOD, f"root=UUID=of-the-worker {CONSOLES}")
    guest = uki_guest(tmp_path, chroot_template, before, after, "ukify")
    with pytest.raises(MorphingError, match="rebuilt with another command line than 'root=UUID=x"):
        initramfs.apply(guest, RED_HAT, OPTIONS)
    assert (guest.root / UKI.lstrip("/")).read_bytes() == before


@pytest.mark.parametrize(
    ("signed", "programs", "said"),
    [
        (False, (), "and nothing in the guest can make it anew"),
        (True, ("ukify",), "and is signed with a key that the guest does not have"),
    ],
)
def test_a_unified_image_that_cannot_be_made_is_refused_before_anything_is_built(
    tmp_path: Path, chroot_template: Path, signed: bool, programs: tuple[str, ...], said: str
) -> None:
    before = unified(LACKING, signed=signed)
    guest = uki_guest(tmp_path, chroot_template, before, unified(GOOD), *programs)
    with pytest.raises(
        MorphingError, match="in one file, without virtio_pci, virtio_blk"
    ) as caught:
        initramfs.apply(guest, RED_HAT, OPTIONS)
    assert said in caught.value.message
    assert built(guest) == []
    assert (guest.root / UKI.lstrip("/")).read_bytes() == before


def test_a_guest_that_signs_its_images_signs_them_again(
    tmp_path: Path, chroot_template: Path
) -> None:
    before, after = unified(LACKING, signed=True), unified(GOOD, signed=True)
    guest = uki_guest(tmp_path, chroot_template, before, after, "ukify")
    guest.put("/etc/kernel/uki.conf", "[UKI]\nSecureBootPrivateKey=/etc/kernel/secure-boot.key\n")
    assert initramfs.apply(guest, RED_HAT, OPTIONS).changed
    assert "ukify build --config=/etc/kernel/uki.conf --linux=" in guest.calls[-1]


DEBIAN_ENTRY = f"/boot/efi/loader/entries/id-{NEW}.conf"


@pytest.mark.parametrize("told", ["", "/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"])
def test_kernel_install_does_not_take_the_workers_command_line(
    red_hat: ChrootedGuest, told: str
) -> None:
    options = "root=UUID=x ro systemd.machine_id=abc console=ttyS0"
    red_hat.put(DEBIAN_ENTRY, f"title Linux\nlinux /id/{NEW}/linux\noptions {options}\n")
    red_hat.put("/boot/efi/loader/entries/id-1.conf", "linux /id/1/linux\noptions root=UUID=y\n")
    red_hat.program("kernel-install")
    red_hat.put("/usr/bin/kernel-install", "")
    if told:
        red_hat.put(told, "root=UUID=z\n")
    initramfs.apply(red_hat, RED_HAT, OPTIONS)
    if told != "/usr/lib/kernel/cmdline":
        wanted = "root=UUID=z\n" if told else "root=UUID=x ro console=ttyS0\n"
        assert red_hat.read_text("/etc/kernel/cmdline") == wanted
    else:
        assert not red_hat.exists("/etc/kernel/cmdline")
