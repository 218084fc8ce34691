# SPDX-License-Identifier: Apache-2.0
"""Open a file of a folder once: beneath it, without a symbolic link, and only a regular one.

A name is looked up here and nowhere else. What reads the file afterwards, ourselves and QEMU, gets
the descriptor, so that nobody can put another file under that name between check and use.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import ImageFormatError, NotFoundError

_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One open file; `path` is for people, and is not opened again."""

    path: Path
    descriptor: int
    size: int
    allocation: int
    identity: tuple[int, int]

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes; less where the file ends."""
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise ImageFormatError(
                f"{self.path} cannot be read: {error.strerror}",
                "look at the disk that it lies on (dmesg)",
            ) from error


@contextmanager
def opened(folder: Path, path: Path) -> Iterator[ImageFile]:
    """Lend a regular file beneath `folder`, which may be changed by others at any moment.

    `path` is absolute and has no "..". NotFoundError or ImageFormatError names what is in the way.
    """
    with ExitStack() as stack:
        place = _opened(stack, str(folder), os.O_PATH | os.O_DIRECTORY, path)
        *folders, last = path.relative_to(folder).parts
        for each in folders:
            place = _opened(stack, each, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, path, place)
        # A mere handle: to open a FIFO would wait for a writer, to open a device may act on it.
        handle = _opened(stack, last, os.O_PATH | os.O_NOFOLLOW, path, place)
        _check_kind(path, os.fstat(handle).st_mode)
        yield _file(path, _opened(stack, f"/proc/self/fd/{handle}", os.O_RDONLY, path))


def read_text(path: Path, limit: int) -> str:
    """Read a small text file; a link is followed, a FIFO or an endless file is not waited for."""
    with ExitStack() as stack:
        handle = _opened(stack, str(path), os.O_PATH, path)
        _check_kind(path, os.fstat(handle).st_mode)
        file = _file(path, _opened(stack, f"/proc/self/fd/{handle}", os.O_RDONLY, path))
        content = file.read(0, limit + 1)
    if len(content) > limit:
        raise ImageFormatError(f"{path} has more than {limit} bytes", "it is no description")
    return content.decode("utf-8")


def _opened(stack: ExitStack, name: str, flags: int, path: Path, place: int | None = None) -> int:
    try:
        descriptor = os.open(name, flags | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        raise _refusal(path, name, error) from None
    stack.callback(os.close, descriptor)
    return descriptor


def _refusal(path: Path, name: str, error: OSError) -> ImageFormatError | NotFoundError:
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{path} is missing", "put it there, or correct what names it")
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ImageFormatError(
            f"{path} cannot be opened: {name} is no folder, or a symbolic link",
            "put the file itself into the folder of images",
        )
    return ImageFormatError(
        f"{path} cannot be opened: {error.strerror}",
        "look at its name, and at what this account may read there (ls -l)",
    )


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((said for test, said in _KINDS if test(mode)), "something else")
    raise ImageFormatError(
        f"{path} is {kind}, not a regular file", "put a file of its own into the folder of images"
    )


def _file(path: Path, descriptor: int) -> ImageFile:
    found = os.fstat(descriptor)
    return ImageFile(
        path=path,
        descriptor=descriptor,
        size=found.st_size,
        allocation=found.st_blocks * 512,
        identity=(found.st_dev, found.st_ino),
    )
