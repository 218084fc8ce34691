# SPDX-License-Identifier: Apache-2.0
"""Packages that the operator prepared: what of them a guest lacks is brought into it.

The folder is one of the controller: `<id>-<version>[-<architecture>]/*.deb` or `*.rpm`, where id
and version are those of os-release(5), for example `debian-12` or `rocky-9-x86_64`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import MorphingError, NotFoundError, PackageError
from tradewind.model.guest import GuestOS
from tradewind.ports import GuestTree, PackageSystem
from tradewind.shell_programs import program
from tradewind.units import GiB, MiB, human_size

# /run is in memory and goes with the mount: nothing of it stays in the guest.
ROOM: Final = "/run/tradewind-packages"
COMPLETE: Final = f"{ROOM}/.complete"
# In memory here while they are sent, in the worker's until the guest is unmounted.
MAX_FILE: Final = 256 * MiB
MAX_ALL: Final = 1 * GiB
_PACK: Final = 32 * MiB
# What is installed takes several times the room of its package, which is compressed.
_UNPACKED: Final = 4

_PREPARE: Final = "prepare it again: `tradewind packages prepare`"
WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
# The same machine is called differently by the kernel and by Debian.
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

_ROOM_LEFT: Final = program(__file__, "room_left.sh")
_UNPACK: Final = program(__file__, "unpack.sh")


def bring(guest: GuestTree, os: GuestOS, system: PackageSystem, folder: Path) -> str:
    """Bring the packages for this guest into it, once; return where they are.

    What the guest has in the same version stays behind. PackageError when there is nothing for
    this guest, or no room for it.
    """
    if is_there(guest):
        return ROOM
    shelf = shelf_for(folder, os, guest.run(["uname", "-m"]).stdout.strip())
    there = system.versions()
    files = [
        path for path in sorted(shelf.glob(f"*{system.suffix}")) if _version(path) not in there
    ]
    _require_fit(shelf, files)
    _require_room(guest, sum(path.stat().st_size for path in files))
    for pack in _packs(files):
        _send(guest, pack)
    guest.write_text(COMPLETE, "")
    return ROOM


def is_there(guest: GuestTree) -> bool:
    """Whether the packages were brought since the guest was mounted."""
    return guest.exists(COMPLETE)


def require(folder: str) -> None:
    """NotFoundError when the folder of packages is not there, or has nothing in it."""
    if folder and not any(path.is_dir() for path in Path(folder).glob("*")):
        raise NotFoundError(
            f"the folder of packages {folder} has no folder for any distribution",
            "`tradewind packages prepare` makes them",
        )


def shelf_for(folder: Path, os: GuestOS, machine: str) -> Path:
    """Find the distribution's folder: the most exact name first, "rocky-9.4" before "rocky-9"."""
    names = list(_names(os, machine))
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise PackageError(
        f"the folder of packages {folder} has nothing for {os.pretty_name}"
        f" (looked for {', '.join(names)})",
        f"`tradewind packages prepare --for {os.id}-{os.version or 'VERSION'}` on a machine that "
        "reaches its repositories",
    )


def _names(os: GuestOS, machine: str) -> Iterator[str]:
    major = os.version.partition(".")[0]
    for version in dict.fromkeys((os.version, major, "")):
        name = f"{os.id}-{version}" if version else os.id
        # The guest says what it is called: no path.
        if not WORD.fullmatch(name):
            continue
        for architecture in (machine, _ARCHITECTURES.get(machine)):
            if architecture and WORD.fullmatch(architecture):
                yield f"{name}-{architecture}"
        yield name


def _version(path: Path) -> str:
    """Name a package as the guest would; apt writes an epoch's colon as "%3a"."""
    return re.sub(r"_\d+(?:%3a|:)", "_", path.stem, flags=re.IGNORECASE)


def _require_fit(shelf: Path, files: Sequence[Path]) -> None:
    if not files:
        raise PackageError(f"{shelf} has no package that the guest lacks", _PREPARE)
    large = [path.name for path in files if path.stat().st_size > MAX_FILE]
    total = sum(path.stat().st_size for path in files)
    if large or total > MAX_ALL:
        raise PackageError(
            f"{shelf} is too large: {', '.join(large) or human_size(total)}",
            f"leave in it what is needed: at most {human_size(MAX_ALL)} in all, and "
            f"{human_size(MAX_FILE)} for one package",
        )


def _require_room(guest: GuestTree, size: int) -> None:
    """Compare with what is left in memory, and where packages are unpacked to."""
    needed = {ROOM: size, "/usr": size * _UNPACKED, "/var": size}
    said = guest.run(["sh", "-c", _ROOM_LEFT, "sh", *needed]).stdout.split()
    if len(said) != len(needed) or not all(word.isdecimal() for word in said):
        raise MorphingError("the guest does not say how much room is left in it")
    for (path, need), left in zip(needed.items(), said, strict=True):
        if int(left) * 1024 < need:
            raise PackageError(
                f"{path} of the guest has {human_size(int(left) * 1024)} left, and the prepared "
                f"packages may need {human_size(need)}",
                "make room on the source, or leave fewer packages in the folder",
            )


def _packs(files: Iterable[Path]) -> Iterator[list[Path]]:
    """Group files: each command costs half a second in an emulated worker."""
    pack: list[Path] = []
    size = 0
    for path in files:
        length = path.stat().st_size
        if pack and size + length > _PACK:
            yield pack
            pack, size = [], 0
        pack.append(path)
        size += length
    if pack:
        yield pack


def _send(guest: GuestTree, pack: Sequence[Path]) -> None:
    contents = {path.name: path.read_bytes() for path in pack}
    guest.write_bytes(f"{ROOM}/.pack", b"".join(contents.values()))
    sizes = [word for name, content in contents.items() for word in (name, str(len(content)))]
    guest.run(["sh", "-c", _UNPACK, "sh", ROOM, *sizes], timeout=300)
    said = guest.run(["sha256sum", *(f"{ROOM}/{name}" for name in contents)], timeout=300).stdout
    arrived = [line.split()[0].lstrip("\\") for line in said.splitlines()]
    sent = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    if arrived != sent:
        raise MorphingError(f"{', '.join(contents)} did not arrive in the guest as they were sent")
