# SPDX-License-Identifier: Apache-2.0
"""What is in the cache, what counts, and what a failed build leaves behind."""

import fcntl
from pathlib import Path

import pytest

from images import cache
from images.cache import BuiltImage


@pytest.fixture
def home(own_cache: Path) -> Path:
    return own_cache


def made(name: str, digest: str, content: bytes = b"disk") -> BuiltImage:
    """Build an image of one small file, the way the builder does."""
    with cache.work_folder(name) as work:
        disk = work / "os.qcow2"
        disk.write_bytes(content)
        checksum = cache.checksum(disk)
        image = BuiltImage(name=name, disks=(disk,), digest=digest, checksum=checksum)
        return cache.keep(work, image)


def test_the_cache_is_outside_the_checkout_unless_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRADEWIND_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.home() == tmp_path / ".cache/tradewind"


def test_what_was_kept_is_found(home: Path) -> None:
    image = made("guest", "0123456789ab")
    assert image.disks == (home / "images/guest-0123456789ab/os.qcow2",)
    assert image.disks[0].read_bytes() == b"disk"
    # printf disk | sha256sum
    assert image.checksum == ("1044dec7206e8d7c9fbb4ae8f766668406d2567fc7fc1a160a9d4700fcf8f8e9")
    assert cache.find("guest", "0123456789ab") == image


def test_another_version_is_not_found() -> None:
    made("guest", "0123456789ab")
    assert cache.find("guest", "ba9876543210") is None
    assert cache.find("worker", "0123456789ab") is None


def test_an_image_that_lost_a_disk_does_not_count() -> None:
    image = made("guest", "0123456789ab")
    image.disks[0].unlink()
    assert cache.find("guest", "0123456789ab") is None


def test_the_cache_may_be_moved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("guest", "0123456789ab")
    moved = home.rename(home.parent / "elsewhere")
    monkeypatch.setenv("TRADEWIND_CACHE", str(moved))
    found = cache.find("guest", "0123456789ab")
    assert found is not None
    assert found.disks == (moved / "images/guest-0123456789ab/os.qcow2",)


def test_the_same_version_is_replaced() -> None:
    made("guest", "0123456789ab", b"broken")
    assert made("guest", "0123456789ab", b"whole").disks[0].read_bytes() == b"whole"


def test_old_versions_are_superseded_and_removed(home: Path) -> None:
    old, new = made("guest", "000000000000"), made("guest", "111111111111")
    made("guest-two", "222222222222")
    assert cache.superseded("guest", new.digest) == [old]
    cache.remove(old)
    assert [image.digest for image in cache.versions("guest")] == [new.digest]
    assert len(list((home / "images").iterdir())) == 2


def test_a_failed_build_leaves_nothing(home: Path) -> None:
    with pytest.raises(IsADirectoryError), cache.work_folder("guest") as work:
        work.write_bytes(b"a disk cannot take the folder's place")
    assert list((home / "images").iterdir()) == []


def test_what_a_killed_builder_left_is_cleared_away(home: Path) -> None:
    (home / "images/.work-guest/tree").mkdir(parents=True)
    with cache.work_folder("guest") as work:
        assert list(work.iterdir()) == []


def test_one_builder_at_a_time(home: Path) -> None:
    with cache.locked("guest"), (home / "locks/guest").open("w") as second:
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with cache.locked("worker"):
            pass  # another image is another lock
    with (home / "locks/guest").open("w") as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
