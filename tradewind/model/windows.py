# SPDX-License-Identifier: Apache-2.0
"""The Windows that was found on migrated disks."""

from enum import StrEnum

from tradewind.model.machine import FirmwareKind
from tradewind.model.record import Record


class Architecture(StrEnum):
    """The processors that Windows runs on, as INF files call them."""

    X86 = "x86"
    AMD64 = "amd64"
    ARM64 = "arm64"


class Product(StrEnum):
    """What a Windows was sold as, as ProductType calls it."""

    CLIENT = "WinNT"
    DOMAIN_CONTROLLER = "LanmanNT"
    SERVER = "ServerNT"


class WindowsOS(Record):
    """What inspection found in the registry.

    `version` is (10, 0) for Windows 10, 11 and Server 2016 and later, which their `build` tells
    apart; `revision` is the number of its update, 0 when nobody says it. `edition` is EditionID,
    and empty without the hive SOFTWARE. `control_set` is the one that the next boot uses. `boot` is
    None when no boot configuration was there to say it; `boot_entry` is the name of its default
    entry. `domain` is the DNS domain that it belongs to, if any. `clock_utc` says what the guest
    takes the machine's clock for. `notes` are sentences for the report.
    """

    pretty_name: str
    version: tuple[int, int]
    build: int
    architecture: Architecture
    product: Product
    control_set: str
    revision: int = 0
    edition: str = ""
    computer_name: str = ""
    domain: str = ""
    boot: FirmwareKind | None = None
    boot_entry: str = ""
    clock_utc: bool = False
    notes: tuple[str, ...] = ()
