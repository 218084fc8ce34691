# SPDX-License-Identifier: Apache-2.0
"""What the builder writes into a file tree."""

import hashlib
from pathlib import Path

import pytest

from images import keys, recipe, tree
from images.recipe import SampleFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file tree as the packages leave it, with what must not stay."""
    for folder in ("etc/ssh", "root", "boot"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    (tmp_path / "root/etc/resolv.conf").write_text("nameserver 192.0.2.53\n")
    (tmp_path / "root/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "root/etc/ssh/ssh_host_rsa_key").write_text("made by the package\n")
    return tmp_path / "root"


def test_the_guest_mounts_its_disks_by_uuid() -> None:
    guest = recipe.load("debian12-bios")
    os, data = (recipe.filesystem_uuid(guest, disk) for disk in guest.disks)
    assert tree.fstab(guest) == (
        f"UUID={os} / ext4 errors=remount-ro 0 1\nUUID={data} /srv ext4 defaults 0 2\n"
    )


def test_the_menu_starts_at_once_from_the_systems_own_disk() -> None:
    worker = recipe.load("worker")
    menu = tree.menu(worker)
    assert f"root=UUID={recipe.filesystem_uuid(worker, worker.disks[0])} ro console=ttyS0" in menu
    assert "set timeout=0\n" in menu
    assert menu.count("{") == menu.count("}") == 1


def test_nothing_of_the_building_machine_stays(root: Path) -> None:
    tree.finish(recipe.load("worker"), root)
    assert (root / "etc/resolv.conf").read_text() == ""
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/hostname").read_text() == "tradewind-worker\n"
    assert not (root / "root/.ssh").exists()


def test_a_guest_lets_the_guest_key_in_and_shows_the_stable_host_key(root: Path) -> None:
    tree.finish(recipe.load("debian12-bios"), root)
    allowed = root / "root/.ssh/authorized_keys"
    assert allowed.read_text() == keys.public_line(keys.guest_key()) + "\n"
    assert allowed.stat().st_mode & 0o777 == 0o600
    assert allowed.parent.stat().st_mode & 0o777 == 0o700
    host_key = root / "etc/ssh/ssh_host_ed25519_key"
    assert host_key.read_text() == keys.guest_host_key().read_text()
    assert host_key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in host_key.parent.iterdir()) == [
        "ssh_host_ed25519_key",
        "ssh_host_ed25519_key.pub",
    ]


def test_samples_are_random_known_and_the_same_every_time(tmp_path: Path) -> None:
    samples = SampleFiles(folder="files", count=3, size_mib=1)
    for folder in ("one", "two"):
        tree.write_samples(samples, tmp_path / folder)
    sums = (tmp_path / "one/SHA256SUMS").read_text()
    assert (tmp_path / "two/SHA256SUMS").read_text() == sums
    listed = {name: digest for digest, name in map(str.split, sums.splitlines())}
    contents = {path.name: path.read_bytes() for path in (tmp_path / "one").glob("*.bin")}
    assert listed == {name: hashlib.sha256(text).hexdigest() for name, text in contents.items()}
    assert len(set(listed.values())) == 3
    assert {len(text) for text in contents.values()} == {1 << 20}
