# SPDX-License-Identifier: Apache-2.0
r"""Tell the kernel, before anything is installed, which driver a device has.

Until Windows 7 that is a key for each device in CriticalDeviceDatabase. Since Windows 8 there is
DriverDatabase instead, in which a driver is a package; that key tells which form counts. Of a
package only that much is written as a boot needs: its name, its devices, its service. Windows
replaces it when the real one is installed.
"""

import struct
import uuid
from typing import Final

from tradewind.model.windows import Architecture
from tradewind.morphing.windows.drivers.package import DriverPackage
from tradewind.morphing.windows.hives.hive import Hive
from tradewind.morphing.windows.hives.values import binary, dword, multi_sz, sz

DATABASE: Final = "DriverDatabase"
_BUS: Final = "PCI\\"
# How well an id fits: the first of its line, or another.
_FITS: Final = (b"\x01\xff\x00\x00", b"\x02\xff\x00\x00")
# Processor numbers of PROCESSOR_ARCHITECTURE_*, which winnt.h has.
_PROCESSORS: Final = {Architecture.X86: 0, Architecture.AMD64: 9}


def register(
    hive: Hive, control_set: str, driver: DriverPackage, architecture: Architecture
) -> None:
    """Make a driver known for its PCI devices, in the form that the hive has."""
    if hive.has(DATABASE):
        _register_package(hive, driver, architecture)
    else:
        _register_critical_devices(hive, control_set, driver)


def _register_critical_devices(hive: Hive, control_set: str, driver: DriverPackage) -> None:
    for device in _devices(driver):
        hive.set_all(
            f"{control_set}\\Control\\CriticalDeviceDatabase\\PCI#{device}",
            {"Service": sz(driver.service.name), "ClassGUID": sz(driver.class_guid.upper())},
        )


def _register_package(hive: Hive, driver: DriverPackage, architecture: Architecture) -> None:
    """Write a package of our own.

    Its label has the form that all have, <inf>_<architecture>_<16 digits>: pnputil and Windows
    Update stumble over others.
    """
    inf = f"tradewind-{driver.inf.lower()}"
    label = f"{inf}_{architecture}_{0:016x}"
    package = f"{DATABASE}\\DriverPackages\\{label}"
    hive.set_all(
        f"{DATABASE}\\DriverInfFiles\\{inf}",
        {
            "": multi_sz(label),
            "Active": sz(label),
            "Configurations": multi_sz(driver.section),
        },
    )
    hive.set(package, "Version", binary(version(driver.class_guid, architecture)))
    hive.set_all(
        f"{package}\\Configurations\\{driver.section}",
        {"ConfigFlags": dword(0), "Service": sz(driver.service.name)},
    )
    for device, rank in _devices(driver).items():
        hive.set(f"{DATABASE}\\DeviceIds\\PCI\\{device}", inf, binary(_FITS[min(rank, 1)]))
        hive.set(f"{package}\\Descriptors\\PCI\\{device}", "Configuration", sz(driver.section))


def version(class_guid: str, architecture: Architecture) -> bytes:
    """Make a package's Version: whose it is, for which processor and class of devices.

    The date and the numbers that follow stay zero: Windows prefers newer packages, and any real one
    is to be newer than this.
    """
    head = struct.pack("<BBBB4x", 0x00, 0xFF, _PROCESSORS[architecture], 0x00)
    return head + uuid.UUID(class_guid).bytes_le + bytes(24)


def _devices(driver: DriverPackage) -> dict[str, int]:
    """List the PCI ids without their bus, with the rank of each."""
    return {
        found.id[len(_BUS) :].upper(): found.rank
        for found in reversed(driver.ids)  # the best rank of an id that is there twice stays
        if found.id.upper().startswith(_BUS)
    }
