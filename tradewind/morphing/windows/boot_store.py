# SPDX-License-Identifier: Apache-2.0
"""The boot configuration (BCD), which is a hive: what it starts when nobody chooses.

Elements are called by their numbers; see "BCD Element Types" of the BCD reference.
"""

from dataclasses import dataclass
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.windows.hives.hive import Hive

BOOT_MANAGER: Final = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
_DEFAULT_ENTRY: Final = "23000003"
_PROGRAM: Final = "12000002"
_DESCRIPTION: Final = "12000004"
_LOADERS: Final = {".efi": FirmwareKind.UEFI, ".exe": FirmwareKind.BIOS}


@dataclass(frozen=True, slots=True)
class BootEntry:
    """The entry that is started; `loader` is a path on the volume of Windows."""

    guid: str
    description: str
    loader: str
    firmware: FirmwareKind


def default_entry(store: Hive) -> BootEntry:
    """Find the default entry; InspectionError when the store has none, or an unknown loader."""
    guid = _element(store, BOOT_MANAGER, _DEFAULT_ENTRY)
    loader = _element(store, guid, _PROGRAM) if guid else ""
    firmware = _LOADERS.get(loader[-4:].lower())
    if not firmware:
        raise InspectionError(
            f"the boot configuration {store.name} has no default entry that starts Windows",
            "repair it on the source (bcdboot C:\\Windows), and transfer again",
        )
    return BootEntry(guid, _element(store, guid, _DESCRIPTION), loader, firmware)


def _element(store: Hive, guid: str, number: str) -> str:
    return store.text(f"Objects\\{guid}\\Elements\\{number}", "Element")
