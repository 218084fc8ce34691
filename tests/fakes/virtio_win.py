# SPDX-License-Identifier: Apache-2.0
"""A tree as a virtio-win ISO has it: folders, INF files of our own, stand-ins for drivers.

Folders and their names are those of the ISO's own listing. The INF files say what the real ones
say (ids, sections, values), in words of ours.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SERVERS: Final = ("2k8R2", "2k12", "2k12R2", "2k16", "2k19", "2k22", "2k25")
CLIENTS: Final = ("w7", "w8", "w8.1", "w10")
MACHINES: Final = {"x86": 0x14C, "amd64": 0x8664, "ARM64": 0xAA64}

_IDS: Final = {
    "viostor": (
        ("VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", "VEN_1AF4&DEV_1001"),
        ("VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", "VEN_1AF4&DEV_1042"),
    ),
    "vioscsi": (
        ("VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00", "VEN_1AF4&DEV_1004"),
        ("VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01", "VEN_1AF4&DEV_1048"),
    ),
}
_BUS_TYPES: Final = {"viostor": "0x00000001", "vioscsi": "0x0000000A"}

# The beginning of a signed message (RFC 2315), of nobody.
CATALOG: Final = bytes.fromhex("3082010006092a864886f70d010702a0820100") + bytes(241)


def inf(driver: str, architecture: str = "amd64", decoration: str = "", folder: str = "12") -> str:
    """Write the INF file of a storage driver."""
    models = "".join(
        f"%Disk% = disk_inst, {', '.join(f'PCI{chr(92)}{id_}' for id_ in ids)}\r\n"
        for ids in _IDS[driver]
    )
    decoration = decoration or f"NT{architecture}"
    return f"""\
; {driver}.inf, test data of Tradewind\r
[Version]\r
Signature = "$Windows NT$"\r
;ClassGUID = {{4D36E967-E325-11CE-BFC1-08002BE10318}}\r
Class = SCSIAdapter\r
ClassGUID = {{4D36E97B-E325-11CE-BFC1-08002BE10318}}\r
Provider = %Vendor%\r
DriverVer = 07/22/2026,100.96.104.29000 ; by stampinf\r
CatalogFile = {driver}.cat\r
PnpLockdown = 1\r
\r
[SourceDisksNames]\r
1 = %Medium%,,,""\r
\r
[SourceDisksFiles]\r
{driver}.sys = 1,,\r
\r
[DestinationDirs]\r
{driver}_files = {folder}\r
\r
[Manufacturer]\r
%Vendor% = Models,{decoration}\r
\r
[Models.{decoration}]\r
{models}\r
[{driver}_files]\r
{driver}.sys,,,2\r
\r
[disk_inst]\r
CopyFiles = {driver}_files\r
\r
[disk_inst.Services]\r
AddService = {driver}, 0x00000002, \\\r
             service_inst, events_inst\r
\r
[service_inst]\r
ServiceType = %KERNEL_DRIVER%\r
StartType = %BOOT_START%\r
ErrorControl = 1\r
ServiceBinary = %{folder}%\\{driver}.sys\r
LoadOrderGroup = SCSI miniport\r
AddReg = service_values\r
\r
[disk_inst.HW]\r
AddReg = device_values\r
\r
[events_inst]\r
AddReg = events_values\r
\r
[events_values]\r
HKR,,EventMessageFile,%EXPAND_SZ%,"%%SystemRoot%%\\System32\\IoLogMsg.dll"\r
HKR,,TypesSupported,%DWORD%,7\r
\r
[service_values]\r
HKR, "Parameters\\PnpInterface", "5", %DWORD%, 0x00000001\r
HKR, "Parameters", "BusType", %DWORD%, {_BUS_TYPES[driver]}\r
HKR, "Parameters", DmaRemappingCompatible,0x00010001,0\r
HKLM, "Software\\Elsewhere", Name, %DWORD%, 1\r
\r
[device_values]\r
HKR, "Interrupt Management",, 0x00000010\r
HKR, "Interrupt Management\\MessageSignaledInterruptProperties", MSISupported, 0x00010001, 1\r
\r
[Strings]\r
Vendor = "Test Vendor, Inc."\r
Medium = "Medium"\r
Disk = "VirtIO controller"\r
EXPAND_SZ = 0x00020000\r
DWORD = 0x00010001\r
KERNEL_DRIVER = 1\r
BOOT_START = 0\r
"""


def program(architecture: str) -> bytes:
    """Make the head of a program for a processor: DOS head, PE signature, machine."""
    head = bytearray(512)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 128)
    struct.pack_into("<4sH", head, 128, b"PE\0\0", MACHINES[architecture])
    return bytes(head)


def make(
    root: Path,
    drivers: Sequence[str] = ("viostor", "vioscsi"),
    systems: Sequence[str] = (*SERVERS, *CLIENTS, "w11"),
) -> Path:
    """Make the tree of an ISO."""
    for driver in drivers:
        for system in systems:
            for architecture in ("amd64", "x86") if system in CLIENTS else ("amd64",):
                folder = root / driver / system / architecture
                folder.mkdir(parents=True)
                text = inf(driver, architecture, folder="13" if system == "w11" else "12")
                (folder / f"{driver}.inf").write_bytes(text.encode("utf-16"))
                (folder / f"{driver}.sys").write_bytes(program(architecture))
                (folder / f"{driver}.cat").write_bytes(CATALOG)
                (folder / f"{driver}.pdb").write_bytes(b"symbols")
    return root
