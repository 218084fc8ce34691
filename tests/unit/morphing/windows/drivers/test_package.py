# SPDX-License-Identifier: Apache-2.0
"""What INF files install."""

import datetime

import pytest

from tests.fakes import virtio_win
from tradewind.errors import OptionError
from tradewind.model.windows import Architecture, Product
from tradewind.morphing.windows.drivers.inf import parse
from tradewind.morphing.windows.drivers.package import (
    DriverPackage,
    DriverService,
    HardwareId,
    RegistryValue,
    package,
)
from tradewind.morphing.windows.drivers.target import Target
from tradewind.morphing.windows.hives.values import binary, dword, expand_sz, sz

WIN10 = Target(Architecture.AMD64, (10, 0), 19045, Product.CLIENT)
SERVER = Target(Architecture.AMD64, (10, 0), 20348, Product.SERVER)
WIN7_X86 = Target(Architecture.X86, (6, 1), 7601, Product.CLIENT)


def read(text: str, target: Target = WIN10) -> DriverPackage:
    return package("viostor.inf", parse(text), target)


def test_storage_driver_as_its_inf_describes_it() -> None:
    assert read(virtio_win.inf("viostor")) == DriverPackage(
        inf="viostor.inf",
        provider="Test Vendor, Inc.",
        class_guid="{4d36e97b-e325-11ce-bfc1-08002be10318}",
        catalog="viostor.cat",
        date=datetime.date(2026, 7, 22),
        version=(100, 96, 104, 29000),
        section="disk_inst",
        ids=(
            HardwareId("PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", 0),
            HardwareId("PCI\\VEN_1AF4&DEV_1001", 1),
            HardwareId("PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", 0),
            HardwareId("PCI\\VEN_1AF4&DEV_1042", 1),
        ),
        files=("viostor.sys",),
        service=DriverService(
            name="viostor",
            type=1,
            start=0,
            error_control=1,
            group="SCSI miniport",
            binary="viostor.sys",
            values=(
                RegistryValue("Parameters\\PnpInterface", "5", dword(1)),
                RegistryValue("Parameters", "BusType", dword(1)),
                RegistryValue("Parameters", "DmaRemappingCompatible", dword(0)),
            ),
            events=(
                RegistryValue(
                    "", "EventMessageFile", expand_sz("%SystemRoot%\\System32\\IoLogMsg.dll")
                ),
                RegistryValue("", "TypesSupported", dword(7)),
            ),
        ),
    )
    assert read(virtio_win.inf("viostor")).boots


def test_driver_of_the_driver_store_is_the_same() -> None:
    store = read(virtio_win.inf("vioscsi", folder="13"))
    assert store == read(virtio_win.inf("vioscsi"))
    assert store.files == (store.service.binary,) == ("vioscsi.sys",)


def test_other_class_or_start_does_not_boot() -> None:
    text = virtio_win.inf("viostor")
    assert not read(text.replace("BOOT_START = 0", "BOOT_START = 3")).boots
    assert not read(text.replace("\nClassGUID = {4D36E97B", "\nClassGUID = {4D36E967")).boots


@pytest.mark.parametrize(
    ("decorations", "target", "chosen"),
    [
        (["NTamd64"], WIN10, "NTamd64"),
        (["NTx86", "NTAMD64"], WIN10, "NTAMD64"),
        (["NTx86"], WIN10, None),
        (["NTamd64", "NTamd64.10.0...17763"], WIN10, "NTamd64.10.0...17763"),
        (["NTamd64.10.0...17763", "NTamd64"], WIN10, "NTamd64.10.0...17763"),
        (["NTamd64.10.0...22000", "NTamd64.10.0...17763"], WIN10, "NTamd64.10.0...17763"),
        (["NTamd64.10.0...22000"], WIN10, None),
        (["NTamd64.6.1", "NTamd64.6.3", "NTamd64.10.0"], WIN10, "NTamd64.10.0"),
        (["NTamd64.6.1", "NTamd64.6.1.3"], SERVER, "NTamd64.6.1.3"),
        (["NTamd64.6.1", "NTamd64.6.1.3"], WIN10, "NTamd64.6.1"),
        (["NTamd64.10.0.3"], WIN10, None),
        (["NTamd64.10.0..1"], WIN10, None),
        (["NTamd64.10.0.....1", "NTamd64.ten"], WIN10, None),
        (["NTx86", "NT", ""], WIN7_X86, "NTx86"),
        (["NT", ""], WIN7_X86, "NT"),
        ([""], WIN7_X86, ""),
        ([""], WIN10, None),
        ([], WIN10, None),
    ],
)
def test_decoration_that_says_most_is_chosen(
    decorations: list[str], target: Target, chosen: str | None
) -> None:
    assert target.best(decorations) == chosen


def test_models_of_the_build_are_read() -> None:
    assert read(virtio_win.inf("viostor", decoration="NTamd64.10.0...17763")).ids
    with pytest.raises(OptionError, match=r"not made for Windows 10.0.19045 \(client, amd64\)"):
        read(virtio_win.inf("viostor", decoration="NTamd64.10.0...22000"))


def test_section_of_the_architecture_comes_first() -> None:
    text = virtio_win.inf("viostor").replace("[disk_inst", "[disk_inst.NTAMD64")
    assert read(text).service.name == "viostor"
    decoy = text + "[disk_inst]\r\nCopyFiles = @decoy.sys\r\n"
    assert read(decoy).files == ("viostor.sys",)


def test_catalog_of_the_architecture_comes_first() -> None:
    text = virtio_win.inf("viostor")
    assert read(text.replace("CatalogFile =", "CatalogFile.NTamd64 = 64.cat\r\nX =")).catalog == (
        "64.cat"
    )
    assert read(text.replace("CatalogFile =", "X =")).catalog == ""


def test_values_of_each_type() -> None:
    lines = (
        "HKR,a,text,,words\r\nHKR,a,text2,0x00000000,words\r\nHKR,,bytes,1,0A,0b,ff\r\n"
        "HKR,,number,0x10001,-1\r\nHKR,,no,0x00010000,several\r\nHKR,,,0x10\r\n"
    )
    text = virtio_win.inf("viostor").replace("[service_values]\r\n", f"[service_values]\r\n{lines}")
    assert read(text).service.values[:4] == (
        RegistryValue("a", "text", sz("words")),
        RegistryValue("a", "text2", sz("words")),
        RegistryValue("", "bytes", binary(b"\x0a\x0b\xff")),
        RegistryValue("", "number", dword(0xFFFFFFFF)),
    )
    assert len(read(text).service.values) == 4 + 3


def test_one_file_and_the_default_folder() -> None:
    text = virtio_win.inf("viostor").replace(
        "CopyFiles = viostor_files", "CopyFiles = @one.sys, viostor_files, tools"
    )
    text = text.replace("viostor_files = 12", "DefaultDestDir = 12\r\ntools = 11")
    assert read(text + "[tools]\r\nx.exe\r\n").files == ("one.sys", "viostor.sys")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[Manufacturer]", "[Other]", "is not made for Windows 10.0.19045"),
        ("[Models.NTamd64]", "[Models]", "is not made for"),
        ("[disk_inst]", "[other_inst]", "has no section disk_inst"),
        ("\nClassGUID = {", "\nClassGUID = ", "names no class of devices"),
        ("07/22/2026,", "22.07.2026,", "says no date and version"),
        ("100.96.104.29000", "100.x", "says no date and version"),
        ("100.96.104.29000", "100.96.104.70000", "says no date and version"),
        ("DriverVer =", "Driver =", "says no date and version"),
        ("AddService =", "DelService =", "installs no service in disk_inst.Services"),
        ("0x00000002, \\", "0x00000000, \\", "installs no service"),
        ("0x00000002, \\", "two, \\", "no number as AddService"),
        ("StartType", "Start", "no number as StartType of service_inst"),
        ("viostor.sys,,,2", '"..\\evil.sys",,,2', "which is no file name"),
        ("viostor.sys,,,2", "..,,,2", "which is no file name"),
        ("viostor.sys,,,2", '"a/b",,,2', "which is no file name"),
        ("CatalogFile = viostor.cat", 'CatalogFile = "a\x1b[2J"', "no file name"),
        ("AddService = viostor,", 'AddService = "a\\b",', "no file name"),
        ('BusType", %DWORD%, 0x', 'BusType", %DWORD%, x', "no number as a value of AddReg"),
        ('BusType", %DWORD%, 0x', 'BusType", 1, 0z', "no number as a byte"),
    ],
)
def test_inf_that_lacks_something_is_refused_with_its_name(old: str, new: str, reason: str) -> None:
    text = virtio_win.inf("viostor")
    assert old in text
    with pytest.raises(OptionError) as refused:
        read(text.replace(old, new))
    assert refused.value.message.startswith("the driver viostor.inf ")
    assert reason in refused.value.message
    assert refused.value.message.isprintable()
    assert "windows_virtio_iso_url" in refused.value.hint
