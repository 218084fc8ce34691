# SPDX-License-Identifier: Apache-2.0
"""Single steps where a guest is not as expected."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import FakeGuestTree
from tests.fakes.rpm_guest import FakeRpmGuest
from tests.unit.morphing.conftest import KERNEL
from tradewind.errors import LateError, MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux.boot import builders, kernels
from tradewind.morphing.linux.steps import (
    cloud_init,
    device_names,
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
        debian.installed.add("python3-jsonschema")  # a dependency got in before it failed
        return Completed(tuple(argv), 100, "", words)

    debian.on("--no-install-recommends", unreachable)
    debian.installed.add("nginx")
    outcome = cloud_init.apply(debian, found, OPTIONS)
    assert (outcome.changed, outcome.done) == (False, False)
    assert "cannot be reached from the worker" in outcome.summary
    assert "way to the repositories" in outcome.remedy
    assert any("dpkg --configure -a" in command for command in debian.commands)
    assert debian.installed == {"nginx"}


def test_a_package_that_is_nowhere_is_said(debian: FakeDebian, found: GuestOS) -> None:
    debian.repositories.remove("qemu-guest-agent")
    outcome = qemu_guest_agent.apply(debian, found, OPTIONS)
    assert not outcome.done
    assert "do not have it" in outcome.summary


def test_an_installation_that_is_late_is_undone(debian: FakeDebian, found: GuestOS) -> None:
    def late(argv: Sequence[str]) -> Completed:
        debian.installed.add("cloud-init")
        raise LateError("too slow")

    debian.on("--no-install-recommends", late)
    assert not cloud_init.apply(debian, found, OPTIONS).done
    assert debian.installed == set()


def test_a_package_that_cannot_be_taken_back_stops_the_deployment(
    debian: FakeDebian, found: GuestOS
) -> None:
    def broken(argv: Sequence[str]) -> Completed:
        debian.installed.add("cloud-init")
        return Completed(tuple(argv), 100, "", "dpkg: error processing package cloud-init")

    debian.on("--no-install-recommends", broken)
    debian.on("dpkg --purge", "")
    with pytest.raises(MorphingError, match="cloud-init could not be installed and could not be"):
        cloud_init.apply(debian, found, OPTIONS)


def test_a_guest_agent_nothing_starts_is_enabled(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("qemu-guest-agent")
    debian.unit_states["qemu-guest-agent.service"] = "masked"
    outcome = qemu_guest_agent.apply(debian, found, OPTIONS)
    assert (outcome.changed, outcome.summary) == (True, "was installed; enabled")
    assert not qemu_guest_agent.apply(debian, found, OPTIONS).changed


@pytest.mark.parametrize(("program", "family"), [("dnf", Family.RED_HAT), ("zypper", Family.SUSE)])
def test_other_families_get_an_agent_and_their_policy_is_told(
    tmp_path: Path, found: GuestOS, program: str, family: Family
) -> None:
    settings = 'FILTER_RPC_ARGS="--allow-rpcs=guest-ping"\n#BLACKLIST_RPC=x\n'
    guest = FakeRpmGuest(tmp_path, program, {"/etc/sysconfig/qemu-ga": settings})
    os = found.model_copy(update={"family": family})
    outcome = qemu_guest_agent.apply(guest, os, OPTIONS)
    assert outcome.summary == (
        "installed; it starts with its channel; /etc/sysconfig/qemu-ga restricts it: "
        "--allow-rpcs=guest-ping"
    )
    guest.repositories.clear()
    assert not qemu_guest_agent.apply(guest, os, OPTIONS).changed


def test_a_static_agent_without_its_rule_is_no_success(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed.add("qemu-guest-agent")
    debian.unit_states["qemu-guest-agent.service"] = "static"
    debian.on("systemctl enable", "")
    with pytest.raises(MorphingError, match="nothing starts it"):
        qemu_guest_agent.apply(debian, found, OPTIONS)


def test_an_image_that_has_the_drivers_is_left_alone(debian: FakeDebian, found: GuestOS) -> None:
    debian.images[KERNEL] = set(kernels.WANTED)
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
    outcome = initramfs.apply(debian, found, OPTIONS)
    assert outcome.remedy.startswith("4.9-old has no VirtIO drivers")
    del debian.drivers[KERNEL]
    with pytest.raises(MorphingError, match="no kernel of Debian"):
        initramfs.apply(debian, found, OPTIONS)


def test_drivers_in_the_kernel_itself_need_no_image(debian: FakeDebian, found: GuestOS) -> None:
    lines = f"{KERNEL}\tkernel\t/boot/vmlinuz\n"
    lines += "".join(f"{KERNEL}\tbuilt-in\t{name}\n" for name in kernels.WANTED)
    debian.on("lsinitramfs", lines)
    assert not initramfs.apply(debian, found, OPTIONS).changed


def test_a_missing_image_is_made(debian: FakeDebian, found: GuestOS) -> None:
    debian.remove(f"/boot/initrd.img-{KERNEL}")
    debian.remove(builders.MODULES_FILE)
    assert initramfs.apply(debian, found, OPTIONS).changed
    assert any(f"sh {KERNEL} /boot/initrd.img-{KERNEL}" in command for command in debian.commands)


def test_devices_on_no_moved_disk_are_told(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeGuestTree(tmp_path, {"/etc/fstab": "/dev/sdd1 /mnt ext4 rw 0 0\nUUID=x / ext4\n"})
    outcome = device_names.apply(guest, found, OPTIONS)
    assert not outcome.changed
    assert outcome.remedy == "on no moved disk, look at: /etc/fstab: /dev/sdd1"


def test_modes_of_rewritten_files_stay(debian: FakeDebian, found: GuestOS) -> None:
    (debian.root / "boot/grub/grub.cfg").chmod(0o400)
    device_names.apply(debian, found, OPTIONS)
    assert (debian.root / "boot/grub/grub.cfg").stat().st_mode & 0o777 == 0o400


def test_rules_stay_while_nobody_knows_the_nics(found: GuestOS) -> None:
    assert persistent_net.applies_to(found, OPTIONS)
    assert not persistent_net.applies_to(found.model_copy(update={"macs": ()}), OPTIONS)


def test_guests_of_unknown_families_keep_their_packages(found: GuestOS) -> None:
    other = found.model_copy(update={"family": Family.UNKNOWN})
    for step in (cloud_init, qemu_guest_agent):
        assert not step.applies_to(other, OPTIONS)
