# SPDX-License-Identifier: Apache-2.0
"""Read and write a guest's files from inside its root: sent to the worker as it is.

`guest_runner.py` runs this text in the guest's root, as root there. No program of the guest takes
part, and nothing is opened but regular files and folders: no FIFO, device or socket. What is read
is bounded; what is over a bound is named instead. Only the standard library of Python 3.6, of which
no more can be imported in there than `guest_runner.py` has.
"""

import ctypes
import os
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Statuses, one for each reason not to read.
MISSING, NO_FILE, TOO_LARGE, TOO_MANY, TOO_LARGE_TOGETHER = 44, 45, 46, 47, 48
MOST_ENTRIES = 10_000  # of one folder
SUFFIX = ".tradewind-saved"
_IMMUTABLE = 0x10  # ioctl_iflags(2), FS_IMMUTABLE_FL
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_IMMUTABLES = "/run/lock/immutable"
_ACCESS_LIST = "system.posix_acl_access"
_PIECE = 1 << 20


class RefusedFile(Exception):  # noqa: N818 - it is a status, not a mistake
    """Why something is not read, as a status, and what it is about."""

    def __init__(self, status: int, path: str) -> None:
        super().__init__(path)
        self.status = status
        self.path = path


def say(*words: str) -> None:
    """Print names, each with a zero byte behind it."""
    sys.stdout.buffer.write(b"".join(os.fsencode(word) + b"\0" for word in words))


def regular(path: str) -> int:
    """Return how large a regular file is; Refused when there is none."""
    try:
        found = os.stat(path)
    except OSError:  # missing, a dangling link, links in a circle
        raise RefusedFile(MISSING, path) from None
    if not stat.S_ISREG(found.st_mode):
        raise RefusedFile(NO_FILE, path)
    return found.st_size


def content(path: str, most: int) -> bytes:
    """Read a regular file; Refused when it is larger, however little of it is data."""
    if regular(path) > most:
        raise RefusedFile(TOO_LARGE, path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with open(end, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(end).st_mode):
            raise RefusedFile(NO_FILE, path)
        pieces: list[bytes] = []
        left = most + 1
        while left > 0:  # files of /proc do not know their size
            piece = file.read(min(left, _PIECE))
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            left -= len(piece)
    raise RefusedFile(TOO_LARGE, path)


def entries(folder: str) -> "list[str]":
    """Name what is in a folder, sorted; nothing when there is none."""
    names = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                names.append(entry.name)
                if len(names) > MOST_ENTRIES:
                    raise RefusedFile(TOO_MANY, folder)
    except OSError:
        return []
    return sorted(names)


def fits(name: str, pattern: str) -> bool:
    """Compare a name with a pattern of a shell, of which it knows "*" and "?"."""
    head, star, rest = pattern.partition("*")
    if len(name) < len(head) or any(p not in {n, "?"} for n, p in zip(name, head)):
        return False
    if not star:
        return len(name) == len(head)
    return any(fits(name[start:], rest) for start in range(len(head), len(name) + 1))


def expand(pattern: str) -> "list[str]":
    """List the paths that a pattern stands for, as a shell does."""
    paths = [""]
    for word in pattern.strip("/").split("/"):
        if "*" not in word and "?" not in word:
            paths = [f"{path}/{word}" for path in paths]
            continue
        paths = [
            f"{path}/{name}"
            for path in paths
            for name in entries(path or "/")
            if (word[0] == "." or name[0] != ".") and fits(name, word)
        ]
        if len(paths) > MOST_ENTRIES:
            raise RefusedFile(TOO_MANY, pattern)
    return paths


def read_one(path: str, most: str) -> None:
    """Print a regular file."""
    sys.stdout.buffer.write(content(path, int(most)))


def list_one(folder: str) -> None:
    """Print what is in a folder."""
    say(*entries(folder))


def find(*paths: str) -> None:
    """Print those of these paths that are there."""
    say(*(path for path in paths if os.path.exists(path)))


def read_many(most: str, most_of_all: str, *patterns: str) -> None:
    """Print each regular file that matches: its path, how large it is, its bytes."""
    left = int(most_of_all)
    for pattern in patterns:
        for path in expand(pattern):
            try:
                text = content(path, int(most))
            except RefusedFile as refused:
                if refused.status == TOO_LARGE:
                    raise
                continue
            left -= len(text)
            if left < 0:
                raise RefusedFile(TOO_LARGE_TOGETHER, ", ".join(patterns))
            say(path, str(len(text)))
            sys.stdout.buffer.write(text)


def write(path: str, mode: str) -> None:
    """Write what comes in, in one move; through a link: some /etc/default/grub is one."""
    target = os.path.realpath(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    new = target + ".tradewind-new"
    remove(new)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        take_in(file.fileno())
        keep_owner(target, new)
        os.fchmod(file.fileno(), int(mode, 8))
    os.replace(new, target)


def keep_owner(old: str, new: str) -> None:
    """Give a new file the owner and the access list of the one that it replaces."""
    if not os.path.isfile(old):
        return
    found = os.stat(old)
    os.chown(new, found.st_uid, found.st_gid)
    try:
        os.setxattr(new, _ACCESS_LIST, os.getxattr(old, _ACCESS_LIST))
    except OSError:  # it has none
        pass


def take_in(end: int) -> None:
    """Copy the input to a file."""
    while True:
        piece = os.read(0, _PIECE)
        if not piece:
            return
        while piece:
            piece = piece[os.write(end, piece) :]


def remove(path: str) -> None:
    """Remove what is no folder; nothing happens when there is nothing."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def place(path: str, mode: str, mark: str) -> None:
    """Put a file where the guest has one of its own, which is set aside and not followed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if set_immutable(path, on=False):
        os.makedirs(_IMMUTABLES + os.path.dirname(path), exist_ok=True)
        open(_IMMUTABLES + path, "w").close()
    if os.path.lexists(path + SUFFIX) or marked(path, mark):
        remove(path)
    elif os.path.lexists(path):
        os.rename(path, path + SUFFIX)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        take_in(file.fileno())
        os.fchmod(file.fileno(), int(mode, 8))


def put_back(mark: str, *paths: str) -> None:
    """Give the guest its own files back; go on to the next when one cannot be."""
    failed = 0
    for path in paths:
        try:
            if os.path.lexists(path + SUFFIX):
                os.replace(path + SUFFIX, path)
            elif marked(path, mark):
                remove(path)
            if os.path.exists(_IMMUTABLES + path):
                set_immutable(path, on=True)
        except OSError as error:
            failed = 1
            sys.stderr.write(f"{path}: {error.strerror}\n")
    raise SystemExit(failed)


def marked(path: str, mark: str) -> bool:
    """Whether a file is one that we placed."""
    try:
        return not os.path.islink(path) and mark.encode() in content(path, _PIECE)
    except RefusedFile:
        return False


def set_immutable(path: str, *, on: bool) -> bool:
    """Change what chattr(1) calls i; say whether it was set. Few file systems know it."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    flags = ctypes.create_string_buffer(8)
    request = ctypes.CDLL(None).ioctl
    known = request(end, ctypes.c_ulong(_GET_FLAGS), flags) == 0
    (before,) = struct.unpack_from("I", flags.raw)
    after = before | _IMMUTABLE if on else before & ~_IMMUTABLE
    if known and after != before:
        struct.pack_into("I", flags, 0, after)
        request(end, ctypes.c_ulong(_SET_FLAGS), flags)
    os.close(end)
    return known and bool(before & _IMMUTABLE)


def label(*paths_and_labels: str) -> None:
    """Set SELinux labels; the last link of a path is labelled itself."""
    for path, text in zip(paths_and_labels[::2], paths_and_labels[1::2]):
        os.setxattr(path, "security.selinux", text.encode() + b"\0", follow_symlinks=False)


_WORKS: "dict[str, Callable[..., None]]" = {
    "text": read_one,
    "texts": read_many,
    "list": list_one,
    "present": find,
    "write": write,
    "remove": remove,
    "place": place,
    "put-back": put_back,
    "label": label,
}


def main(work: str, *arguments: str) -> None:
    """Do one thing."""
    try:
        _WORKS[work](*arguments)
    except RefusedFile as refused:
        sys.stderr.write(refused.path)
        raise SystemExit(refused.status) from None
    except OSError as error:
        sys.stderr.write(f"{error.filename or arguments[0]}: {error.strerror}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
