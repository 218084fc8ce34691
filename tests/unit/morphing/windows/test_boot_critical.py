# SPDX-License-Identifier: Apache-2.0
"""What a Windows needs in its hive to boot from its new disks, as hivexregedit reads it."""

from collections.abc import Sequence

import pytest

from tests.fakes import virtio_win, windows_hives
from tests.fakes.windows_hives import (
    HEADER,
    PREFIX,
    WIN7,
    WIN10,
    WIN10_VMWARE,
    WIN81,
    Keys,
    exported,
    parsed,
)
from tradewind.model.windows import Architecture, WindowsOS
from tradewind.morphing.windows import boot_critical
from tradewind.morphing.windows.device_databases import version
from tradewind.morphing.windows.drivers.folders import ChosenDriver
from tradewind.morphing.windows.drivers.inf import parse
from tradewind.morphing.windows.drivers.package import DriverPackage, package
from tradewind.morphing.windows.drivers.target import Target
from tradewind.morphing.windows.hives.hive import editing, opened
from tradewind.morphing.windows.hives.replay import replayed
from tradewind.morphing.windows.inspect import Hives, inspect

SERVICES = "ControlSet001\\Services"
START_OVERRIDE = f"{SERVICES}\\storahci\\StartOverride"
IDS = {
    "viostor": ("1001", "00021AF4&REV_00", "1042"),
    "vioscsi": ("1004", "00081AF4&REV_00", "1048"),
}
BUS_TYPES = {"viostor": "00000001", "vioscsi": "0000000a"}
SERVICE = """\
[ControlSet001\\Services\\{0}]
"Type"=dword:00000001
"Start"=dword:00000000
"ErrorControl"=dword:00000001
"Group"="SCSI miniport"
"ImagePath"=str(2):"system32\\\\drivers\\\\{0}.sys"
[ControlSet001\\Services\\{0}\\Parameters]
"BusType"=dword:{1}
"DmaRemappingCompatible"=dword:00000000
[ControlSet001\\Services\\{0}\\Parameters\\PnpInterface]
"5"=dword:00000001
[ControlSet001\\Services\\EventLog\\System\\{0}]
"EventMessageFile"=str(2):"%SystemRoot%\\\\System32\\\\IoLogMsg.dll"
"TypesSupported"=dword:00000007
"""
CRITICAL_DEVICE = """\
[ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#{1}]
"Service"="{0}"
"ClassGUID"="{{4D36E97B-E325-11CE-BFC1-08002BE10318}}"
"""
LABEL = "tradewind-{0}.inf_amd64_0000000000000000"
DATABASE = f"""\
[DriverDatabase\\DriverInfFiles\\tradewind-{{0}}.inf]
@=hex(7):{{1}}
"Active"="{LABEL}"
"Configurations"=hex(7):64,00,69,00,73,00,6b,00,5f,00,69,00,6e,00,73,00,74,00,00,00,00,00
[DriverDatabase\\DriverPackages\\{LABEL}]
"Version"=hex(3):00,ff,09,00,00,00,00,00,7b,e9,36,4d,25,e3,ce,11,bf,c1,08,00,2b,e1,03,18,{{2}}
[DriverDatabase\\DriverPackages\\{LABEL}\\Configurations]
[DriverDatabase\\DriverPackages\\{LABEL}\\Configurations\\disk_inst]
"ConfigFlags"=dword:00000000
"Service"="{{0}}"
[DriverDatabase\\DriverPackages\\{LABEL}\\Descriptors]
[DriverDatabase\\DriverPackages\\{LABEL}\\Descriptors\\PCI]
"""
DEVICE = f"""\
[DriverDatabase\\DeviceIds\\PCI\\{{1}}]
"tradewind-{{0}}.inf"=hex(3):{{2}},ff,00,00
[DriverDatabase\\DriverPackages\\{LABEL}\\Descriptors\\PCI\\{{1}}]
"Configuration"="disk_inst"
"""


def devices(driver: str) -> tuple[tuple[str, str], ...]:
    """List the PCI ids of a driver, and how well each fits."""
    legacy, subsystem, modern = IDS[driver]
    return (
        (f"VEN_1AF4&DEV_{legacy}&SUBSYS_{subsystem}", "01"),
        (f"VEN_1AF4&DEV_{legacy}", "02"),
        (f"VEN_1AF4&DEV_{modern}&SUBSYS_11001AF4&REV_01", "01"),
        (f"VEN_1AF4&DEV_{modern}", "02"),
    )


def service_keys() -> str:
    return "".join(SERVICE.format(driver, BUS_TYPES[driver]) for driver in IDS)


def critical_devices() -> str:
    return "".join(
        CRITICAL_DEVICE.format(driver, id_) for driver in IDS for id_, _ in devices(driver)
    )


def database() -> str:
    text = ""
    for driver in IDS:
        label = f"{LABEL.format(driver)}\0\0".encode("utf-16-le").hex(",")
        text += DATABASE.format(driver, label, bytes(24).hex(","))
        text += "".join(DEVICE.format(driver, id_, fits) for id_, fits in devices(driver))
    return text


def drivers(os: WindowsOS) -> list[DriverPackage]:
    return [
        package(f"{name}.inf", parse(virtio_win.inf(name, os.architecture)), Target.of(os))
        for name in IDS
    ]


def prepared(*system: str) -> tuple[Keys, Keys, Sequence[str]]:
    """Return what hivexregedit read before and after, and the changes as they are told."""
    clean = windows_hives.clean(*system)
    with editing("SYSTEM", replayed("SYSTEM", clean)) as edited:
        os = inspect(Hives(edited.hive))
        boot_critical.prepare(edited.hive, os, drivers(os))
    told = [str(change) for change in edited.hive.changes]
    return exported(clean), exported(edited.content), told


def difference(before: Keys, after: Keys) -> Keys:
    """Return the keys that are new, and the new values of the others."""
    return {
        key: dict(values.items() - before.get(key, {}).items())
        for key, values in after.items()
        if before.get(key) != values
    }


def start(service: str, number: int) -> str:
    return f'[{SERVICES}\\{service}]\n"Start"=dword:{number:08x}\n'


def test_windows_7_gets_critical_devices() -> None:
    before, after, _ = prepared(WIN7)
    wanted = service_keys() + critical_devices() + start("msahci", 0) + start("pciide", 0)
    wanted += "".join(start(name, 4) for name in ("VMMEMCTL", "VMTools", "vmci"))
    wanted = wanted.replace(SERVICES, "ControlSet001\\services")
    assert difference(before, after) == parsed(wanted)
    assert before.keys() <= after.keys()


def test_windows_10_gets_packages_in_its_driver_database() -> None:
    before, after, _ = prepared(WIN10)
    assert difference(before, after) == parsed(service_keys() + database())
    assert before.keys() - after.keys() == {
        f"{SERVICES}\\{name}\\StartOverride"
        for name in ("atapi", "intelide", "pciide", "storahci", "stornvme")
    }


def test_services_of_vmware_are_off_on_windows_10() -> None:
    before, after, _ = prepared(WIN10_VMWARE)
    wanted = service_keys() + database()
    wanted += "".join(start(n, 4) for n in ("vmci", "vmhgfs", "VMMemCtl", "VMTools", "vsock"))
    assert difference(before, after) == parsed(wanted)
    assert after[f"{SERVICES}\\pvscsi"] == before[f"{SERVICES}\\pvscsi"]


def test_services_of_virtualbox_are_off_on_windows_8_1() -> None:
    before, after, _ = prepared(WIN81)
    wanted = service_keys() + database()
    wanted += "".join(start(name, 4) for name in ("VBoxGuest", "VBoxSF", "VBoxService"))
    assert difference(before, after) == parsed(wanted)


@pytest.mark.parametrize("reg", [WIN7, WIN81, WIN10, WIN10_VMWARE])
def test_second_time_changes_nothing(reg: str) -> None:
    with editing("SYSTEM", replayed("SYSTEM", windows_hives.clean(reg))) as once:
        os = inspect(Hives(once.hive))
        boot_critical.prepare(once.hive, os, drivers(os))
    with editing("SYSTEM", replayed("SYSTEM", once.content)) as twice:
        boot_critical.prepare(twice.hive, os, drivers(os))
    assert twice.hive.changes == []
    assert twice.content == once.content


def test_driver_that_was_installed_before_starts_at_boot_again() -> None:
    key = f"{PREFIX}\\{SERVICES}\\viostor"
    path = '"ImagePath"=str(2):"\\\\SystemRoot\\\\System32\\\\drivers\\\\viostor.sys"'
    text = (
        f'{HEADER}[{key}]\n"Start"=dword:00000003\n"Tag"=dword:00000021\n{path}\n\n'
        f'[{key}\\StartOverride]\n"0"=dword:00000003\n'
    )
    _, after, told = prepared(WIN10, text)
    assert after[f"{SERVICES}\\viostor"] == {
        **parsed(SERVICE.format("viostor", "0"))[f"{SERVICES}\\viostor"],
        "Tag": (4, b"\x21\0\0\0"),
    }
    assert f"{SERVICES}\\viostor\\StartOverride" not in after
    assert f"{SERVICES}\\viostor: Start = 0 (was 3)" in told
    assert f"{SERVICES}\\viostor\\StartOverride removed" in told


def test_disks_of_a_server_come_online() -> None:
    text = f'{HEADER}[{PREFIX}\\{SERVICES}\\partmgr\\Parameters]\n"SanPolicy"=dword:00000002\n'
    _, _, told = prepared(WIN10, text)
    assert f"{SERVICES}\\partmgr\\Parameters: SanPolicy = 1 (was 2)" in told
    removed = f"{HEADER}[-{PREFIX}\\{SERVICES}\\partmgr\\Parameters]\n"
    _, after, _ = prepared(WIN10, removed)
    assert after[f"{SERVICES}\\partmgr\\Parameters"] == {"SanPolicy": (4, b"\1\0\0\0")}


def test_filter_of_a_class_goes_with_its_service() -> None:
    classes = "ControlSet001\\Control\\Class"
    disk = next(key for key in exported(windows_hives.clean(WIN10)) if "4d36e967" in key.lower())
    filters = "xenfilt\0partmgr\0\0".encode("utf-16-le").hex(",")
    alone = "XenFilt\0\0".encode("utf-16-le").hex(",")
    text = (
        f"{HEADER}[{PREFIX}\\{SERVICES}\\xenfilt]\n" + '"Start"=dword:00000000\n\n'
        f'[{PREFIX}\\{disk}]\n"UpperFilters"=hex(7):{filters}\n"LowerFilters"=hex(7):{alone}\n\n'
        f'[{PREFIX}\\{classes}\\not a class]\n"UpperFilters"=hex(7):{filters}\n'
    )
    before, after, told = prepared(WIN10, text)
    assert after[f"{SERVICES}\\xenfilt"]["Start"] == (4, b"\4\0\0\0")
    assert after[disk]["UpperFilters"] == (7, "partmgr\0\0".encode("utf-16-le"))
    assert after[disk]["LowerFilters"] == (7, b"\0\0")
    assert after[f"{classes}\\not a class"] == before[f"{classes}\\not a class"]
    assert f"{disk}: UpperFilters = partmgr (was xenfilt, partmgr)" in told


def test_other_control_set_is_left_alone() -> None:
    text = f'{HEADER}[{PREFIX}\\Select]\n"Current"=dword:00000002\n'
    before, after, _ = prepared(WIN7, text)
    assert {k: v for k, v in after.items() if k.startswith("ControlSet002")} == {
        k: v for k, v in before.items() if k.startswith("ControlSet002")
    }


def test_package_is_for_the_processor_and_older_than_any_other() -> None:
    guid = "{4d36e97b-e325-11ce-bfc1-08002be10318}"
    for architecture, processor in ((Architecture.AMD64, 9), (Architecture.X86, 0)):
        made = version(guid, architecture)
        assert (len(made), made[0], made[2], made[24:]) == (48, 0, processor, bytes(24))
    lsi = "DriverDatabase\\DriverPackages\\lsi_sas.inf"
    real = next(v for k, v in exported(windows_hives.clean(WIN10)).items() if k.startswith(lsi))
    assert real["Version"][1][8:24] == version(guid, Architecture.AMD64)[8:24]


def test_files_of_the_drivers_are_those_that_the_services_name() -> None:
    with opened("SYSTEM", replayed("SYSTEM", windows_hives.clean(WIN10))) as hive:
        found = drivers(inspect(Hives(hive)))
    chosen = [
        ChosenDriver(each, "folder", {each.service.binary: each.inf.encode()}) for each in found
    ]
    assert dict(boot_critical.files(chosen)) == {
        "System32/drivers/viostor.sys": b"viostor.inf",
        "System32/drivers/vioscsi.sys": b"vioscsi.inf",
    }
