# SPDX-License-Identifier: Apache-2.0
"""What an INF file installs on a guest: its service, its files, the devices that it is for."""

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import OptionError
from tradewind.morphing.windows.drivers.inf import REMEDY, Inf, Line
from tradewind.morphing.windows.drivers.target import Target
from tradewind.morphing.windows.hives.values import Kind, Value, binary, dword, expand_sz, sz
from tradewind.plain_text import printable

# The class of SCSI and RAID controllers, which a driver of boot disks has.
SCSI_ADAPTER: Final = "{4d36e97b-e325-11ce-bfc1-08002be10318}"
BOOT_START: Final = 0
_OWN_SERVICE: Final = 2  # SPSVCINST_ASSOCSERVICE of the AddService directive
_KEY_ONLY: Final = 0x10  # of the AddReg directive
_DRIVER_FOLDERS: Final = {"12", "13"}  # System32\drivers, the driver store
_GUID: Final = re.compile(r"\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", re.IGNORECASE)
_FILE: Final = re.compile(r"[\w .~-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class HardwareId:
    r"""A device that the driver is for: PCI\VEN_1AF4&DEV_1001. `rank` 0 is first in its line."""

    id: str
    rank: int


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """A value that the driver wants, `key` below its own; an empty name is the default value."""

    key: str
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class DriverService:
    """The driver as a service. `binary` is a file's name; `values` and `events` are what is set.

    `values` are below the service's key, `events` below that of its event source.
    """

    name: str
    type: int
    start: int
    error_control: int
    group: str
    binary: str
    values: tuple[RegistryValue, ...] = ()
    events: tuple[RegistryValue, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverPackage:
    """One driver as its INF describes it for one guest.

    `inf`, `catalog` and `files` are names in its folder; `section` is the one that installs it.
    """

    inf: str
    provider: str
    class_guid: str
    catalog: str
    date: datetime.date
    version: tuple[int, int, int, int]
    section: str
    ids: tuple[HardwareId, ...]
    files: tuple[str, ...]
    service: DriverService

    @property
    def boots(self) -> bool:
        """Whether the driver can be that of the disk with Windows."""
        return self.class_guid == SCSI_ADAPTER and self.service.start == BOOT_START


def package(name: str, inf: Inf, target: Target) -> DriverPackage:
    """Read what an INF file installs on a guest; OptionError names what it lacks.

    Of several install sections the one of the first device counts, with all its devices.
    """
    return _Package(name, inf, target).result()


class _Package:
    def __init__(self, name: str, inf: Inf, target: Target) -> None:
        self._name = printable(name)
        self._inf = inf
        self._target = target

    def result(self) -> DriverPackage:
        models = [line for line in self._models() if line.values]
        base = models[0].values[0]
        section = self._install_section(base)
        date, version = self._driver_version()
        return DriverPackage(
            inf=self._name,
            provider=self._inf.one("Version", "Provider"),
            class_guid=self._class_guid(),
            catalog=self._catalog(),
            date=date,
            version=version,
            section=base,
            ids=tuple(self._ids(models, base)),
            files=tuple(dict.fromkeys(self._files(section))),
            service=self._service(section),
        )

    def _refuse(self, what: str) -> OptionError:
        return OptionError(f"the driver {self._name} {what}", REMEDY)

    def _models(self) -> Sequence[Line]:
        """Return the lines of devices for the guest's architecture and version."""
        for line in self._inf.lines("Manufacturer"):
            words = line.values or (line.key or "",)
            decoration = self._target.best(words[1:] or ("",))
            if decoration is not None:
                name = f"{words[0]}.{decoration}" if decoration else words[0]
                if any(line.values for line in self._inf.lines(name)):
                    return self._inf.lines(name)
        raise self._refuse(f"is not made for {self._target}")

    def _ids(self, models: Sequence[Line], section: str) -> Iterator[HardwareId]:
        for line in models:
            if line.values[0].lower() == section.lower():
                yield from (
                    HardwareId(id_, rank) for rank, id_ in enumerate(line.values[1:]) if id_
                )

    def _install_section(self, base: str) -> str:
        """Choose the section that is meant for the guest's architecture, as Windows does."""
        names = (f"{base}.nt{self._target.architecture.value}", f"{base}.nt", base)
        for name in names:
            if self._inf.has(name):
                return name
        raise self._refuse(f"has no section {printable(base)}")

    def _class_guid(self) -> str:
        guid = self._inf.one("Version", "ClassGUID")
        if not _GUID.fullmatch(guid):
            raise self._refuse("names no class of devices (ClassGUID)")
        return guid.lower()

    def _catalog(self) -> str:
        """Name the file with its signature; that for the architecture comes first."""
        keys = (f"CatalogFile.nt{self._target.architecture.value}", "CatalogFile.nt", "CatalogFile")
        named = next(filter(None, (self._inf.one("Version", key) for key in keys)), "")
        return self._file(named) if named else ""

    def _driver_version(self) -> tuple[datetime.date, tuple[int, int, int, int]]:
        """Read the date, written as in America, and the version, of which any part may lack."""
        values = next(self._inf.all_of("Version", "DriverVer"), ())
        try:
            date = datetime.datetime.strptime(values[0], "%m/%d/%Y").date()
            parts = [int(part) for part in values[1].split(".")] if values[1:] else []
        except (IndexError, ValueError):
            raise self._refuse("says no date and version (DriverVer)") from None
        a, b, c, d = (*parts, 0, 0, 0, 0)[:4]
        if not all(0 <= part <= 0xFFFF for part in (a, b, c, d)):
            raise self._refuse("says no date and version (DriverVer)")
        return date, (a, b, c, d)

    def _file(self, name: str) -> str:
        """Refuse a file's name that could lead out of its folder."""
        if not _FILE.fullmatch(name) or name.strip(" .") == "":
            raise self._refuse(f"names a file {printable(name)!r}, which is no file name")
        return name

    def _files(self, section: str) -> Iterator[str]:
        """Name the files that go to the folder of drivers."""
        for names in self._inf.all_of(section, "CopyFiles"):
            for name in names:
                yield from self._copied(name)

    def _copied(self, name: str) -> Iterator[str]:
        if name.startswith("@"):
            yield self._file(name[1:])
            return
        folder = self._inf.one("DestinationDirs", name) or self._default_folder()
        if folder in _DRIVER_FOLDERS:
            for line in self._inf.lines(name):
                values = line.values if line.key is None else (line.key, *line.values)
                yield self._file(values[0])

    def _default_folder(self) -> str:
        return self._inf.one("DestinationDirs", "DefaultDestDir")

    def _service(self, section: str) -> DriverService:
        for values in self._inf.all_of(f"{section}.Services", "AddService"):
            name, flags, service, events = (*values, "", "", "", "")[:4]
            if name and service and self._number(flags or "0", "AddService") & _OWN_SERVICE:
                return self._described(name, service, events)
        raise self._refuse(f"installs no service in {section}.Services")

    def _described(self, name: str, section: str, events: str) -> DriverService:
        def number(key: str) -> int:
            return self._number(self._inf.one(section, key), f"{key} of {section}")

        binary_path = self._inf.one(section, "ServiceBinary")
        return DriverService(
            name=self._file(name),
            type=number("ServiceType"),
            start=number("StartType"),
            error_control=number("ErrorControl"),
            group=self._inf.one(section, "LoadOrderGroup"),
            binary=self._file(binary_path.rpartition("\\")[2]),
            values=tuple(self._registry(section)),
            events=tuple(self._registry(events)) if events else (),
        )

    def _number(self, text: str, what: str) -> int:
        try:
            return int(text, 0)
        except ValueError:
            raise self._refuse(f"has no number as {printable(what)}") from None

    def _registry(self, section: str) -> Iterator[RegistryValue]:
        """Read what AddReg says of the key that is its own (HKR)."""
        for names in self._inf.all_of(section, "AddReg"):
            for line in (line for name in names for line in self._inf.lines(name)):
                root, key, name, flags, *content = (*line.values, "", "", "", "")
                if root.upper() != "HKR":
                    continue
                value = self._value(self._number(flags or "0", "the flags of AddReg"), content)
                if value:
                    yield RegistryValue(key, name, value)

    def _value(self, flags: int, content: Sequence[str]) -> Value | None:
        """Make a value; its type is in the upper half of the flags and in their lowest bit.

        None: only the key is wanted, or the type is none that a driver of disks uses.
        """
        if flags & _KEY_ONLY:
            return None
        first = content[0] if content else ""
        kind = {0: Kind.SZ, 1: Kind.BINARY, 0x10001: Kind.DWORD, 0x20000: Kind.EXPAND_SZ}.get(
            flags & 0xFFFF0001
        )
        match kind:
            case Kind.SZ:
                return sz(first)
            case Kind.EXPAND_SZ:
                return expand_sz(first)
            case Kind.DWORD:
                return dword(self._number(first or "0", "a value of AddReg") & 0xFFFFFFFF)
            case Kind.BINARY:
                return binary(bytes(self._byte(byte) for byte in content if byte))
        return None

    def _byte(self, text: str) -> int:
        try:
            return int(text, 16) & 0xFF
        except ValueError:
            raise self._refuse("has no number as a byte of AddReg") from None
