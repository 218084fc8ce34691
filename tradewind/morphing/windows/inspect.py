# SPDX-License-Identifier: Apache-2.0
"""Say from its hives which Windows a guest has; change nothing.

SYSTEM alone must do: SOFTWARE is ten times as large, and needed for names only.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from tradewind.errors import InspectionError
from tradewind.model.windows import Architecture, Product, WindowsOS
from tradewind.morphing.windows import boot_store
from tradewind.morphing.windows.hives.hive import Hive
from tradewind.plain_text import printable

CURRENT_VERSION: Final = "Microsoft\\Windows NT\\CurrentVersion"
DRIVER_DATABASE: Final = "DriverDatabase"
_PACKAGES: Final = f"{DRIVER_DATABASE}\\DriverPackages"
# The first byte of a package's version: it came with Windows.
_INBOX: Final = 0xFF
# Where in it its four numbers are, the last one first.
_NUMBERS_AT: Final = 32
# Builds from which a client is Windows 11, which still calls itself 10 in the registry.
_WINDOWS_11: Final = 22000
_SKIP: Final = "deploy with skip_os_morphing if it needs no adaption"


@dataclass(frozen=True, slots=True)
class Hives:
    """The hives of one Windows; all but SYSTEM may be missing."""

    system: Hive
    software: Hive | None = None
    boot: Hive | None = None


@dataclass(frozen=True, slots=True)
class _Version:
    major: int
    minor: int
    build: int
    revision: int = 0


_Word = TypeVar("_Word", bound=StrEnum)


def inspect(hives: Hives) -> WindowsOS:
    """Describe a Windows; InspectionError when it cannot be told, or is made for ARM."""
    system = hives.system
    control_set = _control_set(system)
    control = f"{control_set}\\Control"
    product = _one_of(Product, system.text(f"{control}\\ProductOptions", "ProductType"))
    architecture = _architecture(system, control)
    version = _version(hives, control)
    entry = boot_store.default_entry(hives.boot) if hives.boot else None
    return WindowsOS(
        pretty_name=_pretty_name(hives.software, version, product),
        version=(version.major, version.minor),
        build=version.build,
        revision=version.revision,
        edition=_text(hives.software, "EditionID"),
        architecture=architecture,
        product=product,
        control_set=control_set,
        computer_name=printable(
            system.text(f"{control}\\ComputerName\\ComputerName", "ComputerName")
        ),
        domain=printable(system.text(f"{control_set}\\Services\\Tcpip\\Parameters", "NV Domain")),
        boot=entry.firmware if entry else None,
        boot_entry=printable(entry.description) if entry else "",
        clock_utc=bool(system.number(f"{control}\\TimeZoneInformation", "RealTimeIsUniversal")),
        notes=tuple(_notes(system, control)),
    )


def _architecture(system: Hive, control: str) -> Architecture:
    environment = f"{control}\\Session Manager\\Environment"
    found = _one_of(Architecture, system.text(environment, "PROCESSOR_ARCHITECTURE"))
    if found is Architecture.ARM64:
        raise InspectionError(
            "this Windows is made for ARM64, and the new machine has an x86 processor",
            "nothing here can move it: its host has to be an ARM64 one",
        )
    return found


def _version(hives: Hives, control: str) -> _Version:
    found = (
        (hives.software and _said_version(hives.software))
        or _database_version(hives.system)
        or _class_version(hives.system, control)
    )
    if not found:
        raise InspectionError(
            f"the hive {hives.system.name} does not tell its Windows' version", _SKIP
        )
    return found


def _control_set(system: Hive) -> str:
    """Name the control set of the next boot, which Default says; Current is that of the last."""
    for name in ("Default", "Current"):
        number = system.number("Select", name)
        if number and system.has(f"ControlSet{number:03}"):
            return f"ControlSet{number:03}"
    raise InspectionError(
        f"the hive {system.name} has no control set that its key Select names", _SKIP
    )


def _one_of(words: type[_Word], said: str) -> _Word:
    for word in words:
        if word.lower() == said.lower():
            return word
    known = ", ".join(words)
    raise InspectionError(
        f"the registry says {printable(said)!r} where one of {known} was expected", _SKIP
    )


def _said_version(software: Hive) -> _Version | None:
    """Read the version where Windows itself does."""
    major = software.number(CURRENT_VERSION, "CurrentMajorVersionNumber")
    minor = software.number(CURRENT_VERSION, "CurrentMinorVersionNumber")
    said = software.text(CURRENT_VERSION, "CurrentVersion")
    if major is None or minor is None:  # since Windows 10; before, and there 6.3 for good, as text
        words = _numbers(said, 2)
        if not words:
            return None
        major, minor = words
    build = _numbers(software.text(CURRENT_VERSION, "CurrentBuildNumber"), 1)
    if not build:
        return None
    return _Version(major, minor, build[0], software.number(CURRENT_VERSION, "UBR") or 0)


def _numbers(text: str, count: int) -> tuple[int, ...] | None:
    words = text.split(".")
    if len(words) < count or not all(word.isdecimal() for word in words):
        return None
    return tuple(int(word) for word in words[:count])


def _database_version(system: Hive) -> _Version | None:
    """Take the version from the driver database of Windows 8 and later.

    Its build is that of most packages that came with this version of Windows.
    """
    said = system.number(DRIVER_DATABASE, "Version")
    if said is None:
        return None
    major, minor = said >> 24, said >> 16 & 0xFF
    builds = Counter(
        build for found_major, found_minor, build in _inbox(system)
        if (found_major, found_minor) == (major, minor)
    )  # fmt: skip
    return _Version(major, minor, builds.most_common(1)[0][0]) if builds else None


def _inbox(system: Hive) -> Iterator[tuple[int, int, int]]:
    """Read the version and build of each package that came with Windows."""
    for package in system.subkeys(_PACKAGES):
        found = system.value(f"{_PACKAGES}\\{package}", "Version")
        if found and len(found.content) >= _NUMBERS_AT + 8 and found.content[0] == _INBOX:
            numbers = found.content[_NUMBERS_AT : _NUMBERS_AT + 8]
            major, minor, build = (
                int.from_bytes(numbers[at : at + 2], "little") for at in (6, 4, 2)
            )
            yield major, minor, build


def _class_version(system: Hive, control: str) -> _Version | None:
    """Take the version from the device drivers of Microsoft that an older Windows has installed.

    Most of them have that of Windows; the highest build is that of its service pack.
    """
    found = Counter(_class_drivers(system, f"{control}\\Class"))
    versions = Counter[tuple[int, int]]()
    for (major, minor, _), count in found.items():
        versions[major, minor] += count
    if not versions:
        return None
    major, minor = versions.most_common(1)[0][0]
    build = max(build for *version, build in found if version == [major, minor])
    return _Version(major, minor, build)


def _class_drivers(system: Hive, classes: str) -> Iterator[tuple[int, int, int]]:
    for guid in system.subkeys(classes):
        for device in system.subkeys(f"{classes}\\{guid}"):
            key = f"{classes}\\{guid}\\{device}"
            version = _numbers(system.text(key, "DriverVersion"), 3)
            if version and system.text(key, "ProviderName") == "Microsoft":
                major, minor, build = version
                yield major, minor, build


def _pretty_name(software: Hive | None, version: _Version, product: Product) -> str:
    name = _text(software, "ProductName")
    if not name:
        kind = "Windows" if product is Product.CLIENT else "Windows Server"
        return f"{kind} {version.major}.{version.minor}.{version.build}"
    if product is Product.CLIENT and version.build >= _WINDOWS_11:
        return name.replace("Windows 10", "Windows 11")
    return name


def _text(software: Hive | None, name: str) -> str:
    return printable(software.text(CURRENT_VERSION, name)) if software else ""


def _notes(system: Hive, control: str) -> Iterator[str]:
    if system.number(f"{control}\\Session Manager\\Power", "HiberbootEnabled"):
        yield (
            "Fast Startup is on: only a full shutdown (shutdown /s /f /t 0) leaves the disks as "
            "Windows will find them"
        )
    if system.number("Setup", "SystemSetupInProgress"):
        yield "Windows Setup was still at work when the disks were copied"
