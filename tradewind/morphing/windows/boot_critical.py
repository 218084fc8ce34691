# SPDX-License-Identifier: Apache-2.0
r"""Make a Windows boot from the disks of its new machine, by the hive SYSTEM.

Files come first: a driver that starts at boot and whose file is missing is a blue screen (0x7B),
a file that nobody starts is harmless.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from tradewind.model.windows import WindowsOS
from tradewind.morphing.windows import device_databases, foreign_services
from tradewind.morphing.windows.drivers.folders import ChosenDriver
from tradewind.morphing.windows.drivers.package import (
    BOOT_START,
    DriverPackage,
    DriverService,
    RegistryValue,
)
from tradewind.morphing.windows.hives.hive import Hive
from tradewind.morphing.windows.hives.values import dword, expand_sz, sz

# Drivers that Windows brings for the other disks that the new machine may have: SATA, IDE, NVMe.
INBOX: Final = ("atapi", "intelide", "msahci", "pciide", "storahci", "stornvme")
# What any disk needs besides, down to the bus.
BELOW: Final = ("disk", "partmgr", "pci", "volmgr", "volume")
# SanPolicy: all disks come online, also those that Windows has not seen yet.
ONLINE_ALL: Final = 1


def files(drivers: Sequence[ChosenDriver]) -> Iterator[tuple[str, bytes]]:
    """Say which files have to be in the folder of Windows, before the hive names them."""
    for driver in drivers:
        binary = driver.package.service.binary
        yield f"System32/drivers/{binary}", driver.contents[binary]


def prepare(hive: Hive, os: WindowsOS, drivers: Sequence[DriverPackage]) -> None:
    """Change the control set of the next boot; what changes is in `hive.changes`.

    Done twice, the second time changes nothing.
    """
    services = f"{os.control_set}\\Services"
    for driver in drivers:
        _add_service(hive, services, driver.service)
        device_databases.register(hive, os.control_set, driver, os.architecture)
    for name in INBOX:
        if hive.has(f"{services}\\{name}"):
            hive.set(f"{services}\\{name}", "Start", dword(BOOT_START))
    for name in (*(driver.service.name for driver in drivers), *INBOX, *BELOW):
        # Windows 8 and later starts a driver as is said there, if this machine never needed it.
        hive.remove(f"{services}\\{name}\\StartOverride")
    hive.set(f"{services}\\partmgr\\Parameters", "SanPolicy", dword(ONLINE_ALL))
    foreign_services.turn_off(hive, os.control_set)


def _add_service(hive: Hive, services: str, service: DriverService) -> None:
    r"""Write the driver's service as its INF says, but for its file, which is in System32\drivers.

    Some INF files leave it in the driver store, which only an installation makes.
    """
    key = f"{services}\\{service.name}"
    hive.set_all(
        key,
        {
            "Type": dword(service.type),
            "Start": dword(service.start),
            "ErrorControl": dword(service.error_control),
            "Group": sz(service.group),
            "ImagePath": expand_sz(f"system32\\drivers\\{service.binary}"),
        },
    )
    _set_all(hive, key, service.values)
    _set_all(hive, f"{services}\\EventLog\\System\\{service.name}", service.events)


def _set_all(hive: Hive, key: str, values: Sequence[RegistryValue]) -> None:
    for value in values:
        hive.set(f"{key}\\{value.key}" if value.key else key, value.name, value.value)
