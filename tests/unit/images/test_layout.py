# SPDX-License-Identifier: Apache-2.0
"""Layouts: what is on what, and what the guest's tables say about it."""

import pytest
from pydantic import ValidationError

from images import layout, recipe
from images.layout import Layout
from tradewind.errors import NotFoundError

LAID_OUT = [name for name in recipe.names() if layout.load(recipe.load(name))]


def laid_out(name: str) -> Layout:
    found = layout.load(recipe.load(name))
    assert found is not None
    return found


def test_plain_recipes_have_none() -> None:
    assert {"worker", "worker-stock", "debian12-bios"} == set(recipe.names()) - set(LAID_OUT)


@pytest.mark.parametrize("name", LAID_OUT)
def test_every_layout_is_whole(name: str) -> None:
    found = laid_out(name)
    for each in found.filesystems:
        assert found.device(each.on)
    mounts = [line.split()[1] for line in layout.fstab(recipe.load(name), found).splitlines()]
    assert mounts[0] == "/"
    assert len(set(mounts)) == len(mounts)
    assert (recipe.load(name).folder / "install.sh").is_file()


def test_devices_are_told_by_what_they_stand_on() -> None:
    found = laid_out("debian12-uefi-lvm")
    assert found.device("pv") == "/dev/disk/by-id/virtio-os-part3"
    assert found.device("ledger-vg/var") == "/dev/ledger-vg/var"
    raid = laid_out("debian12-luks-raid")
    assert raid.device("boot-2") == "/dev/disk/by-id/virtio-mirror-part2"
    assert raid.device("root") == "/dev/md/root"
    assert raid.device("root_crypt") == "/dev/mapper/root_crypt"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="nothing is called usr") as refused:
        laid_out("debian12-btrfs").device("usr")
    assert refused.value.hint == "one of: grub, system"


def test_a_word_that_no_layout_has_is_refused() -> None:
    plain = laid_out("debian12-btrfs").model_dump()
    with pytest.raises(ValidationError, match="sectors"):
        Layout.model_validate(plain | {"sectors": 512})


def test_fstab_calls_devices_as_the_layout_wants() -> None:
    wanted = recipe.load("debian12-uefi-lvm")
    lines = layout.fstab(wanted, laid_out(wanted.name)).splitlines()
    assert lines[0] == "/dev/mapper/ledger--vg-root / ext4 errors=remount-ro 0 1"
    assert lines[1] == f"UUID={layout.identity(wanted, 'boot')} /boot ext4 defaults 0 2"
    assert lines[2].startswith("UUID=")
    assert len(lines[2].split()[0]) == len("UUID=1234-ABCD")


def test_fstab_has_subvolumes_but_not_of_the_default_one() -> None:
    wanted = recipe.load("suse-standin")
    lines = layout.fstab(wanted, laid_out(wanted.name)).splitlines()
    device = f"UUID={layout.identity(wanted, 'system')}"
    assert f"{device} / btrfs defaults 0 0" in lines
    assert f"{device} /var btrfs subvol=@/var,defaults 0 0" in lines


def test_swap_is_no_mount() -> None:
    wanted = recipe.load("redhat-standin")
    assert "/dev/sda3 none swap sw 0 0\n" in layout.fstab(wanted, laid_out(wanted.name))


def test_crypttab_and_mdadm_conf_name_devices_by_identity() -> None:
    wanted = recipe.load("debian12-luks-raid")
    found = laid_out(wanted.name)
    (crypt,) = found.encrypted
    uuid = layout.container_uuid(wanted, crypt)
    assert str(uuid) not in layout.fstab(wanted, found)
    assert uuid != layout.identity(wanted, "root_crypt"), "the file system in it has that one"
    assert layout.crypttab(wanted, found) == (
        f"root_crypt UUID={uuid} /etc/keys/root.key luks,initramfs\n"
    )
    (boot, _) = found.arrays
    assert f"ARRAY /dev/md/boot UUID={layout.array_uuid(wanted, boot)}\n" in layout.mdadm_conf(
        wanted, found
    )
    assert layout.array_uuid(wanted, boot).count(":") == 3
