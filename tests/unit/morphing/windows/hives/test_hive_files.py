# SPDX-License-Identifier: Apache-2.0
"""Hives as files, on a file system of Linux and on NTFS."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import windows_hives
from tests.unit.morphing.loop import attached
from tradewind.errors import InspectionError
from tradewind.morphing.windows.hives import hive_files, replay
from tradewind.morphing.windows.hives.hive import editing
from tradewind.morphing.windows.hives.values import dword

ACL = "system.ntfs_acl"


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[None]:
    """Mount an NTFS, as a worker mounts a guest's."""
    subprocess.run(["ntfs-3g", device, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """Lend a device with an NTFS: its unmounting is waited for, that of a file's is not."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkntfs", "-q", "-F", "-Q", image], check=True, capture_output=True)
    with attached(image) as found:
        yield found


def test_logs_are_found_however_they_are_written(tmp_path: Path) -> None:
    for name in ("SYSTEM", "system.log2", "SYSTEM.LOG1", "SYSTEM.LOG1.old", "SOFTWARE.LOG1"):
        (tmp_path / name).touch()
    (tmp_path / "SYSTEM.LOG").touch()
    found = hive_files.logs(tmp_path / "System")
    assert [path.name for path in found] == ["SYSTEM.LOG1", "system.log2"]
    for path in found:
        path.unlink()
    assert [path.name for path in hive_files.logs(tmp_path / "System")] == ["SYSTEM.LOG"]


def test_new_file_has_mode_owner_and_attributes_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "SYSTEM"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 12, 34)
    os.setxattr(path, "user.tradewind", b"kept")
    hive_files.replace(path, b"new")
    found = path.stat()
    assert path.read_bytes() == b"new"
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 12, 34)
    assert os.getxattr(path, "user.tradewind") == b"kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["SYSTEM"]


def test_access_list_and_attributes_stay_on_ntfs(device: str, tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    with mounted(device, tmp_path / "mounted"):
        keeps_access_list(tmp_path / "mounted" / "SYSTEM")


def keeps_access_list(path: Path) -> None:
    path.write_text("old")
    # Owner and group: administrators; everything for SYSTEM alone.
    acl = bytes.fromhex(
        "010004803000000040000000000000001400000002001c000100000000031400ff011f00"
        "010100000000000512000000"
        "01020000000000052000000020020000"
        "01020000000000052000000020020000"
    )
    os.setxattr(path, ACL, acl)
    os.setxattr(path, "system.ntfs_attrib", (0x26).to_bytes(4, "little"))  # archive, system, hidden
    made = os.getxattr(path, "system.ntfs_crtime")
    before = os.getxattr(path, ACL)
    hive_files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.getxattr(path, ACL) == before
    assert os.getxattr(path, "system.ntfs_attrib")[:1] == b"\x26"
    assert os.getxattr(path, "system.ntfs_crtime") == made


def test_dirty_hive_is_edited_where_it_lies_on_ntfs(device: str, tmp_path: Path) -> None:
    dirty = windows_hives.dirty()
    folder = tmp_path / "mounted"
    folder.mkdir()
    with mounted(device, folder):
        path = folder / "SYSTEM"
        path.write_bytes(dirty.hive)
        for name, log in zip(("SYSTEM.LOG1", "System.Log2"), dirty.logs, strict=True):
            (folder / name).write_bytes(log)
        with editing("SYSTEM", hive_files.completed(path)) as edited:
            edited.hive.set("Setup", "Tradewind", dword(1))
        hive_files.replace(path, edited.content)
    found = subprocess.run(["ntfscat", device, "SYSTEM"], check=True, capture_output=True).stdout
    wanted = windows_hives.exported(dirty.expected)
    wanted["Setup"]["Tradewind"] = (4, b"\1\0\0\0")
    assert windows_hives.exported(found) == wanted


def test_hive_larger_than_may_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hive_files, "MOST", 8192)
    monkeypatch.setattr(replay, "MOST", 8192)
    (tmp_path / "SYSTEM").write_bytes(windows_hives.clean(windows_hives.WIN7))
    with pytest.raises(InspectionError, match="SYSTEM cannot be used: it or a log is larger than"):
        hive_files.completed(tmp_path / "SYSTEM")


@pytest.mark.parametrize("call", ["open", "chown", "chmod", "setxattr", "fsync", "replace"])
def test_old_file_stays_when_anything_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "SYSTEM"
    path.write_text("old")
    os.setxattr(path, "user.tradewind", b"kept")

    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="No space left"):
        hive_files.replace(path, b"new")
    monkeypatch.undo()
    assert [(e.name, e.read_text()) for e in tmp_path.iterdir()] == [("SYSTEM", "old")]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "SYSTEM").write_text("old")
    (tmp_path / "SYSTEM.tradewind-new").write_text("half")
    hive_files.replace(tmp_path / "SYSTEM", b"new")
    assert [(e.name, e.read_text()) for e in tmp_path.iterdir()] == [("SYSTEM", "new")]
