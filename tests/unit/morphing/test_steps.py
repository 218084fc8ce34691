# SPDX-License-Identifier: Apache-2.0
"""Single steps where a guest is not as expected."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import FakeGuestTree
from tests.unit.morphing.conftest import KERNEL
from tradewind.errors import LateError, MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Mount
from tradewind.morphing.steps.linux import (
    cloud_init,
    efi_fallback,
    fstab,
    initramfs,
    persistent_net,
    qemu_guest_agent,
)
from tradewind.ports import Completed

OPTIONS = MorphOptions()


def test_an_unreachable_repository_is_said_and_nothing_is_left(
    debian: FakeDebian, found: GuestOS
) -> None:
    words = "Err:1 http://198.18.0.9 Temporary failure resolving\nE: Unable to fetch"

    def unreachable(argv: Sequence[str]) -> Completed:
        return Completed(tuple(argv), 100, "", words)

    debian.on("--no-install-recommends", unreachable)
    with pytest.raises(MorphingError, match="cloud-init cannot be installed") as caught:
        cloud_init.apply(debian, found, OPTIONS)
    assert "cannot be reached from the worker" in caught.value.message
    assert "way to the repositories" in caught.value.hint
    assert any("dpkg --configure -a" in command for command in debian.commands)
    assert any("purge --auto-remove cloud-init" in command for command in debian.commands)
    assert debian.installed == set()


def test_a_package_that_is_nowhere_is_said(debian: FakeDebian, found: GuestOS) -> None:
    debian.repositories.remove("qemu-guest-agent")
    with pytest.raises(MorphingError, match="do not have it"):
        qemu_guest_agent.apply(debian, found, OPTIONS)


def test_an_installation_that_is_late_is_undone(debian: FakeDebian, found: GuestOS) -> None:
    def late(argv: Sequence[str]) -> Completed:
        raise LateError("too slow")

    debian.on("--no-install-recommends", late)
    with pytest.raises(LateError):
        cloud_init.apply(debian, found, OPTIONS)
    assert any("purge" in command for command in debian.commands)


def test_cloud_init_that_was_there_is_only_configured(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("cloud-init")
    debian.unit_states |= {"cloud-init-main.service": "enabled", "cloud-init.service": "enabled"}
    debian.write_text("/etc/cloud/cloud-init.disabled", "")
    outcome = cloud_init.apply(debian, found, OPTIONS)
    assert outcome.changed
    assert outcome.summary.startswith("was installed; configured")
    assert not debian.exists("/etc/cloud/cloud-init.disabled")
    assert not any("apt-get" in command for command in debian.commands)


def test_cloud_init_that_would_not_start_is_no_success(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("cloud-init")
    debian.unit_states["cloud-init.service"] = "masked"
    with pytest.raises(MorphingError, match=r"cloud-init\.service is masked"):
        cloud_init.apply(debian, found, OPTIONS)


def test_host_keys_that_are_not_there_are_not_made(debian: FakeDebian, found: GuestOS) -> None:
    cloud_init.apply(debian, found, OPTIONS)
    assert "ssh_genkeytypes: [ed25519]\n" in debian.read_text(cloud_init.DROP_IN)


def test_a_guest_agent_nothing_starts_is_enabled(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("qemu-guest-agent")
    debian.unit_states["qemu-guest-agent.service"] = "masked"
    outcome = qemu_guest_agent.apply(debian, found, OPTIONS)
    assert (outcome.changed, outcome.summary) == (True, "was installed; enabled")
    assert not qemu_guest_agent.apply(debian, found, OPTIONS).changed


def test_a_static_agent_without_its_rule_is_no_success(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("qemu-guest-agent")
    debian.unit_states["qemu-guest-agent.service"] = "static"
    debian.on("systemctl enable", "")
    with pytest.raises(MorphingError, match="nothing starts it"):
        qemu_guest_agent.apply(debian, found, OPTIONS)


def test_an_image_that_has_the_drivers_is_left_alone(debian: FakeDebian, found: GuestOS) -> None:
    debian.images[KERNEL] = set(initramfs.WANTED)
    before = debian.photograph()
    assert not initramfs.apply(debian, found, OPTIONS).changed
    assert debian.photograph() == before


def test_a_rebuilt_image_without_the_drivers_is_no_success(
    debian: FakeDebian, found: GuestOS
) -> None:
    debian.on("update-initramfs -u", "update-initramfs: Generating …\n")
    with pytest.raises(MorphingError, match="still lacks virtio_pci, virtio_blk"):
        initramfs.apply(debian, found, OPTIONS)


def test_kernels_without_virtio_are_told(debian: FakeDebian, found: GuestOS) -> None:
    debian.drivers["4.9-old"] = set()
    debian.images["4.9-old"] = set()
    both = found.model_copy(update={"kernels": (KERNEL, "4.9-old")})
    outcome = initramfs.apply(debian, both, OPTIONS)
    assert outcome.remedy.startswith("4.9-old has no VirtIO drivers")
    only_old = found.model_copy(update={"kernels": ("4.9-old",)})
    with pytest.raises(MorphingError, match="no kernel of Debian"):
        initramfs.apply(debian, only_old, OPTIONS)


def test_drivers_in_the_kernel_itself_need_no_image(debian: FakeDebian, found: GuestOS) -> None:
    lines = "".join(f"{KERNEL} built-in {name}\n" for name in initramfs.WANTED)
    debian.on("lsinitramfs", lines)
    assert not initramfs.apply(debian, found, OPTIONS).changed


def test_a_missing_image_is_made(debian: FakeDebian, found: GuestOS) -> None:
    debian.remove(f"/boot/initrd.img-{KERNEL}")
    debian.remove(initramfs.MODULES_FILE)
    assert initramfs.apply(debian, found, OPTIONS).changed
    assert f"update-initramfs -c -k {KERNEL}" in debian.commands


def test_another_image_builder_is_refused(debian: FakeDebian, found: GuestOS) -> None:
    debian.remove("/usr/sbin/update-initramfs")
    with pytest.raises(MorphingError, match="other than update-initramfs"):
        initramfs.apply(debian, found, OPTIONS)


def test_devices_on_no_moved_disk_are_told(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeGuestTree(tmp_path, {"/etc/fstab": "/dev/sdd1 /mnt ext4 rw 0 0\nUUID=x / ext4\n"})
    outcome = fstab.apply(guest, found, OPTIONS)
    assert not outcome.changed
    assert outcome.remedy == "on no moved disk, look at: /etc/fstab: /dev/sdd1"


def test_modes_of_rewritten_files_stay(debian: FakeDebian, found: GuestOS) -> None:
    (debian.root / "boot/grub/grub.cfg").chmod(0o400)
    fstab.apply(debian, found, OPTIONS)
    assert (debian.root / "boot/grub/grub.cfg").stat().st_mode & 0o777 == 0o400


def test_rules_stay_while_nobody_knows_the_nics(found: GuestOS) -> None:
    assert persistent_net.applies_to(found, OPTIONS)
    assert not persistent_net.applies_to(found.model_copy(update={"macs": ()}), OPTIONS)


@pytest.fixture
def uefi(found: GuestOS) -> GuestOS:
    partition = Mount(device="/dev/vdb15", path="/boot/efi", fstype="vfat")
    return found.model_copy(update={"mounts": (*found.mounts, partition)})


def copying(guest: FakeGuestTree) -> None:
    def copy(argv: Sequence[str]) -> Completed:
        guest.write_text(argv[-1], guest.read_text(argv[-2]))
        return Completed(tuple(argv), 0, "", "")

    guest.on("cmp", copy)


def test_the_loader_is_put_where_any_firmware_looks(tmp_path: Path, uefi: GuestOS) -> None:
    vendor = "/boot/efi/EFI/debian"
    files = {f"{vendor}/{name}": name for name in ("shimx64.efi", "grubx64.efi", "mmx64.efi")}
    guest = FakeGuestTree(tmp_path, files | {f"{vendor}/grub.cfg": ""})
    copying(guest)
    assert efi_fallback.applies_to(uefi, OPTIONS)
    outcome = efi_fallback.apply(guest, uefi, OPTIONS)
    assert outcome.summary == "debian/shimx64.efi copied to BOOTX64.EFI"
    assert guest.list("/boot/efi/EFI/BOOT") == ("BOOTX64.EFI", "grubx64.efi", "mmx64.efi")
    assert guest.read_text("/boot/efi/EFI/BOOT/BOOTX64.EFI") == "shimx64.efi"
    assert not efi_fallback.apply(guest, uefi, OPTIONS).changed


def test_an_empty_system_partition_is_refused(tmp_path: Path, uefi: GuestOS) -> None:
    with pytest.raises(MorphingError, match="no boot loader is in /boot/efi/EFI"):
        efi_fallback.apply(FakeGuestTree(tmp_path, {}), uefi, OPTIONS)


def test_guests_of_other_families_keep_their_packages(found: GuestOS) -> None:
    other = found.model_copy(update={"family": Family.SUSE})
    for step in (cloud_init, qemu_guest_agent, initramfs):
        assert not step.applies_to(other, OPTIONS)
