# SPDX-License-Identifier: Apache-2.0
"""What is read of a file system that was in use when it was copied: a real ext4, cut off."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fakes.local_remote import LocalRemote
from tests.unit.morphing.loop import attached
from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Mount
from tradewind.morphing.linux import facts, health
from tradewind.units import MiB
from tradewind.waiting import wait_for

KERNELS = 40


def _run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@contextmanager
def _mounted(device: str, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    _run("mount", device, folder)
    try:
        yield folder
    finally:
        _run("umount", folder)


@pytest.fixture
def copied_in_use(tmp_path: Path) -> Path:
    """Lend the copy of a file system whose new files lie in the journal, but for their folder.

    The kernel writes the blocks of a transaction to their places when it likes to, one by one:
    here that of the folder was first, so it names inodes that are still free on the disk.
    """
    image, copy = tmp_path / "image", tmp_path / "copy"
    with image.open("wb") as file:
        file.truncate(64 * MiB)
    _run("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum", image)
    with attached(image) as device:
        with _mounted(device, tmp_path / "mounted") as root:
            (root / "boot").mkdir()
        with _mounted(device, tmp_path / "mounted") as root:
            for number in range(KERNELS):
                last = root / "boot" / f"vmlinuz-{number}"
                last.write_text("x")
            _run("sync", last)
            shutil.copyfile(image, copy)
    block = int(_run("debugfs", "-R", "blocks /boot", image))
    with image.open("rb") as after, copy.open("r+b") as file:
        after.seek(1024 * block)
        file.seek(1024 * block)
        file.write(after.read(1024))
    return copy


def test_a_healthy_copy_of_a_file_system_in_use_is_not_called_damaged(copied_in_use: Path) -> None:
    before = sha256(copied_in_use.read_bytes()).digest()
    with attached(copied_in_use) as device:
        filesystem = FileSystem(device=device, fstype="ext4", disk=0, partition=1)
        trees = facts.read(LocalRemote(), [filesystem])
        assert _run("blockdev", "--getro", device).strip() == "0"
    assert sha256(copied_in_use.read_bytes()).digest() == before
    mounts = [Mount(device=device, path="/", fstype="ext4")]
    health.refuse_damaged(trees, mounts)
    assert "/ was in use when it was copied; its journal is replayed" in health.notes(trees, mounts)
    (tree,) = trees
    assert "unreplayed" in tree.facts or len(tree.lines("boot")) == KERNELS


def record_errors(image: Path) -> None:
    """Set the state of a superblock; debugfs ends with 0 also when it could not open the file."""

    def recorded() -> bool:
        _run("debugfs", "-w", "-R", "set_super_value state 3", image)
        return "clean with errors" in _run("dumpe2fs", "-h", image)

    wait_for(recorded, "the superblock has recorded errors", 20)


def test_errors_that_the_guest_has_recorded_are_told(copied_in_use: Path) -> None:
    with attached(copied_in_use) as device, _mounted(device, copied_in_use.with_name("replayed")):
        pass
    record_errors(copied_in_use)
    with attached(copied_in_use) as device:
        filesystem = FileSystem(device=device, fstype="ext4", disk=0, partition=1)
        trees = facts.read(LocalRemote(), [filesystem])
    with pytest.raises(InspectionError, match="recorded errors"):
        health.refuse_damaged(trees, [Mount(device=device, path="/", fstype="ext4")])
