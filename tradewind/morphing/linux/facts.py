# SPDX-License-Identifier: Apache-2.0
"""Read what tells an operating system from each file system; change nothing.

Every file system is shown as its guest would find it, and none of its symbolic links is followed
out of it (`facts.sh` says how). What is read of each is bounded.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import LateError
from tradewind.model.guest import FileSystem
from tradewind.morphing.linux.blockdevices import place
from tradewind.ports import Remote
from tradewind.shell_programs import program

MAX_FACT: Final = 64 * 1024
# Subvolumes of one btrfs that are looked at; a snapshot tool keeps hundreds.
_MOST_SUBVOLUMES: Final = 32
# Kernels, and folders of their modules, that are looked at on one file system.
_MOST_KERNELS: Final = 500
_TIMEOUT: Final = 300
# How facts are called by who reads an error.
_NAMES: Final = {
    "os-release": "/etc/os-release",
    "usr-os-release": "/lib/os-release",
    "fstab": "/etc/fstab",
    "crypttab": "/etc/crypttab",
    "arrays": "/etc/mdadm.conf",
    "boot": "the list of /boot",
    "top": "the list of the top folder",
    "modules": "the list of /lib/modules",
}

_READ: Final = program(__file__, "facts.sh")
_BOUNDS: Final = (str(MAX_FACT), str(_MOST_SUBVOLUMES), str(_MOST_KERNELS))


@dataclass(slots=True)
class FileSystemFacts:
    """What was read from one file system, or from one subvolume of a btrfs (`subvolid`).

    `facts` are texts of at most 64 KiB; `cut` names those that were longer.
    """

    filesystem: FileSystem
    subvolid: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def lines(self, fact: str) -> tuple[str, ...]:
        """Split a fact into its lines; none when there is no such fact."""
        return tuple(self.facts.get(fact, "").splitlines())

    @property
    def subvolume(self) -> str:
        """The path of the subvolume from the top of its file system."""
        return self.facts.get("subvolume", "")


def read(remote: Remote, filesystems: Sequence[FileSystem]) -> tuple[FileSystemFacts, ...]:
    """Look at each of these file systems, in their order."""
    arguments = [word for f in filesystems for word in (f.fstype, f.device)]
    try:
        argv = ["sh", "-c", _READ, "sh", *_BOUNDS, *arguments]
        answer = remote.run(argv, timeout=_TIMEOUT, check=True)
    except LateError:
        devices = ", ".join(f"{f.fstype} on {place(f)}" for f in filesystems)
        raise LateError(
            f"looking at {devices} did not end within {_TIMEOUT} s",
            "see whether the storage of the volumes answers, and check the file systems (fsck)",
        ) from None
    trees: dict[str, FileSystemFacts] = {}
    for line in answer.stdout.splitlines():
        where, fact, content = line.split(" ")
        number, _, subvolid = where.partition("/")
        tree = trees.setdefault(where, FileSystemFacts(filesystems[int(number)], subvolid))
        text = base64.b64decode(content)
        if len(text) > MAX_FACT:
            tree.cut.append(_NAMES.get(fact, fact))
        tree.facts[fact] = text[:MAX_FACT].decode(errors="replace")
    return tuple(trees.values())
