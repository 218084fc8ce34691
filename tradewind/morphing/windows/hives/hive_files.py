# SPDX-License-Identifier: Apache-2.0
"""A guest's hive as files: read with its logs, replaced in one move."""

import errno
import os
from pathlib import Path
from typing import Final

from tradewind.morphing.windows.hives.replay import Replayed, replayed
from tradewind.morphing.windows.hives.walk import MOST

# Windows' own attributes of a file, which ntfs-3g shows under these names and does not list; see
# its documentation, "Extended attributes".
_NTFS: Final = ("system.ntfs_acl", "system.ntfs_attrib", "system.ntfs_crtime")
_ABSENT: Final = {errno.ENODATA, errno.ENOTSUP, errno.EINVAL}
_NEW: Final = ".tradewind-new"
_LOGS: Final = (".LOG1", ".LOG2", ".LOG")


def completed(hive: Path) -> Replayed:
    """Read a hive and complete it from its logs; InspectionError when it is damaged."""
    return replayed(hive.name, _content(hive), [_content(log) for log in logs(hive)])


def _content(path: Path) -> bytes:
    """Read a file, a byte more than may be at most: whoever gets that refuses it."""
    with path.open("rb") as file:
        return file.read(MOST + 1)


def logs(hive: Path) -> tuple[Path, ...]:
    """Find the logs of a hive, however their names are written; the first one first.

    A single .LOG beside two numbered ones is a remnant of the medium that Windows came from.
    """
    there = {path.name.upper(): path for path in sorted(hive.parent.iterdir())}
    found = [there.get(hive.name.upper() + ending) for ending in _LOGS]
    return tuple(filter(None, found[:2])) or tuple(filter(None, found[2:]))


def replace(path: Path, content: bytes) -> None:
    """Replace a file, with its mode, owner and access lists.

    Whoever is killed in here leaves the old file or the new one. The logs stay: nothing in them is
    newer than a hive that was completed from them, and Windows leaves out what is older.
    """
    new = path.with_name(path.name + _NEW)
    new.unlink(missing_ok=True)  # a killed process's
    try:
        new.touch(0o600, exist_ok=False)
        with new.open("wb") as file:
            file.write(content)
            _keep(path, new)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _keep(old: Path, new: Path) -> None:
    """Give a new file what belongs to the old one beside its content."""
    found = old.stat()
    os.chown(new, found.st_uid, found.st_gid)
    new.chmod(found.st_mode & 0o7777)
    for name in sorted({*os.listxattr(old), *_NTFS}):
        value = _attribute(old, name)
        if value is not None:
            os.setxattr(new, name, value)


def _attribute(path: Path, name: str) -> bytes | None:
    """Read an attribute; None when the file, or its file system, has none of that name."""
    try:
        return os.getxattr(path, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
