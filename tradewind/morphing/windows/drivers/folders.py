# SPDX-License-Identifier: Apache-2.0
"""Choose drivers for one Windows from a virtio-win ISO, and refuse such as it would not load.

The ISO's folders are <driver>/<system>/<architecture>, in capital or small letters as its release
likes: viostor/2k19/amd64.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import BadInputError, ImageFormatError, NotFoundError, OptionError
from tradewind.iso import IsoFiles, UnreadableIsoError, iso_files
from tradewind.model.windows import Architecture, Product
from tradewind.morphing.windows.drivers import inf
from tradewind.morphing.windows.drivers.inf import REMEDY
from tradewind.morphing.windows.drivers.package import DriverPackage, package
from tradewind.morphing.windows.drivers.target import Target
from tradewind.units import KiB, MiB

# What a disk needs to be found at boot: the new machine may have either bus, now or later.
STORAGE: Final = ("viostor", "vioscsi")
# Version, first build and folder, for clients and servers.
_CLIENTS: Final = (
    ((6, 1), 0, "w7"),
    ((6, 2), 0, "w8"),
    ((6, 3), 0, "w8.1"),
    ((10, 0), 0, "w10"),
    ((10, 0), 22000, "w11"),
)
_SERVERS: Final = (
    ((6, 1), 0, "2k8r2"),
    ((6, 2), 0, "2k12"),
    ((6, 3), 0, "2k12r2"),
    ((10, 0), 0, "w10"),
    ((10, 0), 14393, "2k16"),
    ((10, 0), 17763, "2k19"),
    ((10, 0), 20348, "2k22"),
    ((10, 0), 26100, "2k25"),
)
_OLDEST: Final = (6, 1)
_MACHINES: Final = {
    Architecture.X86: 0x14C,
    Architecture.AMD64: 0x8664,
    Architecture.ARM64: 0xAA64,
}
# How a catalog begins: a sequence in DER, and in it the identifier of signed data (RFC 2315).
_SEQUENCE: Final = b"\x30"
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_LARGEST: Final = 64 * MiB


@dataclass(frozen=True, slots=True)
class ChosenDriver:
    """A driver of the ISO; `folder` is where its files are, `contents` are those, by name."""

    package: DriverPackage
    folder: str
    contents: dict[str, bytes]


def systems(target: Target) -> tuple[str, ...]:
    """Name the folders whose drivers run on a Windows, the best first.

    NotFoundError for a Windows that no driver of these ISOs is made for.
    """
    if target.version < _OLDEST:
        raise NotFoundError(
            f"{target} is older than Windows 7 and Windows Server 2008 R2, the oldest for which "
            "virtio-win has drivers",
            "install drivers of virtio-win 0.1.96 or older on the source, or update the guest "
            "there; then deploy with skip_os_morphing",
        )
    known = _CLIENTS if target.product is Product.CLIENT else _SERVERS
    guest = target.version, target.build
    return tuple(name for version, build, name in reversed(known) if (version, build) <= guest)


def choose(iso: Path, target: Target, drivers: Sequence[str] = STORAGE) -> list[ChosenDriver]:
    """Choose drivers that are needed to boot; BadInputError when one is missing or would not load.

    Each comes from the folder of the guest's version, else of the next lower one that exists.
    """
    try:
        with iso_files(iso) as files:
            tree = _Tree(files, target)
            return [tree.chosen(driver) for driver in drivers]
    except UnreadableIsoError as error:
        raise ImageFormatError(
            f"{iso} is no ISO image that can be read: {error}", "see whether it arrived complete"
        ) from None


class _Tree:
    def __init__(self, files: IsoFiles, target: Target) -> None:
        self._files = files
        self._target = target
        self._folders: dict[str, dict[str, str]] = {}
        for path in files.paths():
            folder, _, name = path.rpartition("/")
            self._folders.setdefault(folder.lower(), {})[name.lower()] = path

    def chosen(self, driver: str) -> ChosenDriver:
        folder = self._folder(driver)
        name = f"{driver}.inf"
        read = inf.read(f"{folder}/{name}", self._content(folder, name))
        found = package(name, read, self._target)
        if not found.boots:
            raise OptionError(
                f"the driver {folder}/{name} is not one that Windows boots by", REMEDY
            )
        if not found.catalog:
            raise OptionError(
                f"the driver {folder}/{name} is unsigned: it names no catalog", REMEDY
            )
        names = dict.fromkeys((name, found.catalog, *found.files, found.service.binary))
        contents = {each: self._content(folder, each) for each in names}
        _refuse_unsigned(f"{folder}/{found.catalog}", contents[found.catalog])
        for each in names:
            self._refuse_foreign(f"{folder}/{each}", contents[each])
        return ChosenDriver(found, folder, contents)

    def _folder(self, driver: str) -> str:
        tried = [f"{driver}/{name}/{self._target.architecture}" for name in systems(self._target)]
        for folder in tried:
            if folder in self._folders:
                return folder
        there = ", ".join(self._there(driver)) or "none"
        raise NotFoundError(
            f"the driver ISO has no {driver} for {self._target}: none of the folders "
            f"{', '.join(tried)} is there, but {there}",
            REMEDY,
        )

    def _there(self, driver: str) -> Iterator[str]:
        return (folder for folder in sorted(self._folders) if folder.startswith(f"{driver}/"))

    def _content(self, folder: str, name: str) -> bytes:
        path = self._folders[folder].get(name.lower())
        content = self._files.read(path, _LARGEST + 1) if path else b""
        if not content:
            raise self._missing(folder, name)
        if len(content) > _LARGEST:
            raise OptionError(
                f"the file {folder}/{name} is larger than {_LARGEST // MiB} MiB", REMEDY
            )
        return content

    def _missing(self, folder: str, name: str) -> BadInputError:
        if name.lower().endswith(".cat"):
            return NotFoundError(
                f"the driver in {folder} is unsigned: its catalog {name} is missing or empty",
                f"64-bit Windows loads signed drivers only; {REMEDY}",
            )
        return NotFoundError(f"the file {name} is missing in {folder}, or empty", REMEDY)

    def _refuse_foreign(self, path: str, content: bytes) -> None:
        """Refuse a program for another processor."""
        if not path.lower().endswith((".sys", ".dll", ".exe")):
            return
        machine = machine_of(content)
        if machine != _MACHINES[self._target.architecture]:
            said = "no program of Windows" if machine is None else f"for machine {machine:#x}"
            raise OptionError(
                f"the driver {path} is {said}, and not for {self._target.architecture}", REMEDY
            )


def _refuse_unsigned(path: str, catalog: bytes) -> None:
    """Refuse a catalog that is no signed message; whose signature it is, Windows decides."""
    if not (catalog.startswith(_SEQUENCE) and _SIGNED_DATA in catalog[:32]):
        raise OptionError(f"the driver is unsigned: its catalog {path} has no signature", REMEDY)


def machine_of(content: bytes) -> int | None:
    """Read for which processor a program is; None when it is none. Format: PE, its COFF header."""
    if content[:2] != b"MZ" or len(content) < 64:
        return None
    (at,) = struct.unpack_from("<I", content, 0x3C)
    if at > 64 * KiB or content[at : at + 4] != b"PE\0\0":
        return None
    return int.from_bytes(content[at + 4 : at + 6], "little")
