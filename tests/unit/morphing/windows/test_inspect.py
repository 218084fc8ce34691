# SPDX-License-Identifier: Apache-2.0
"""Which Windows it is, from its hives alone."""

from contextlib import ExitStack

import pytest

from tests.fakes import windows_hives
from tests.fakes.windows_hives import HEADER, PREFIX, WIN7, WIN10, WIN10_VMWARE, WIN81
from tradewind.errors import InspectionError
from tradewind.model.machine import FirmwareKind
from tradewind.model.windows import Architecture, Product, WindowsOS
from tradewind.morphing.windows.hives.hive import Hive, opened
from tradewind.morphing.windows.hives.replay import replayed
from tradewind.morphing.windows.inspect import Hives, inspect

VERSION = f"{PREFIX}\\Microsoft\\Windows NT\\CurrentVersion"
CONTROL = f"{PREFIX}\\ControlSet001\\Control"


def keys(path: str) -> str:
    """Write a key with those above it, as hivexregedit wants them."""
    words = path.removeprefix(PREFIX).strip("\\").split("\\")
    above = ("\\".join(words[:count]) for count in range(1, len(words) + 1))
    return "".join(f"[{PREFIX}\\{key}]\n\n" for key in above)


def software(**values: str | int) -> str:
    return (
        HEADER
        + keys(VERSION)
        + f"[{VERSION}]\n"
        + "".join(
            f'"{name}"=dword:{value:08x}\n' if isinstance(value, int) else f'"{name}"="{value}"\n'
            for name, value in values.items()
        )
    )


def boot_store(loader: str, default: str = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}") -> str:
    manager = f"{PREFIX}\\Objects\\{{9dea862c-5cdd-4e70-acc1-f32b344d4795}}\\Elements\\23000003"
    entry = f"{PREFIX}\\Objects\\{{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}}\\Elements"
    return (
        f'{HEADER}{keys(manager)}[{manager}]\n"Element"="{default}"\n\n'
        f'{keys(entry)}[{entry}\\12000002]\n"Element"="{loader}"\n\n'
        f'[{entry}\\12000004]\n"Element"="My Windows"\n'
    )


def inspected(*system: str, software: str = "", boot: str = "") -> WindowsOS:
    with ExitStack() as stack:

        def hive(name: str, *texts: str) -> Hive:
            whole = replayed(name, windows_hives.clean(*texts))
            return stack.enter_context(opened(name, whole))

        return inspect(
            Hives(
                hive("SYSTEM", *system),
                hive("SOFTWARE", software) if software else None,
                hive("BCD", boot) if boot else None,
            )
        )


FAST_STARTUP = (
    "Fast Startup is on: only a full shutdown (shutdown /s /f /t 0) leaves the disks as Windows "
    "will find them"
)


@pytest.mark.parametrize(
    ("reg", "found"),
    [
        (
            WIN7,
            WindowsOS(
                pretty_name="Windows 6.1.7601",
                version=(6, 1),
                build=7601,
                architecture=Architecture.X86,
                product=Product.CLIENT,
                control_set="ControlSet001",
                computer_name="WIN7-TEST-0001",
                domain="corp.example.org",
            ),
        ),
        (
            WIN81,
            WindowsOS(
                pretty_name="Windows 6.3.9600",
                version=(6, 3),
                build=9600,
                architecture=Architecture.AMD64,
                product=Product.CLIENT,
                control_set="ControlSet001",
                computer_name="WIN81A",
                notes=(FAST_STARTUP,),
            ),
        ),
        (
            WIN10,
            WindowsOS(
                pretty_name="Windows 10.0.16299",
                version=(10, 0),
                build=16299,
                architecture=Architecture.AMD64,
                product=Product.CLIENT,
                control_set="ControlSet001",
                computer_name="DESKTOP-TEST009",
                notes=(FAST_STARTUP,),
            ),
        ),
    ],
)
def test_system_alone_tells_what_is_needed(reg: str, found: WindowsOS) -> None:
    assert inspected(reg) == found


def test_build_is_that_of_most_packages_of_windows() -> None:
    assert inspected(WIN10_VMWARE).build == 18362


@pytest.mark.parametrize(
    ("said", "pretty_name", "version", "build", "revision"),
    [
        (
            {
                "ProductName": "Windows 10 Pro",
                "CurrentVersion": "6.3",
                "CurrentMajorVersionNumber": 10,
                "CurrentMinorVersionNumber": 0,
                "CurrentBuildNumber": "22631",
                "UBR": 3007,
            },
            "Windows 11 Pro",
            (10, 0),
            22631,
            3007,
        ),
        (
            {
                "ProductName": "Windows 10 Home",
                "CurrentMajorVersionNumber": 10,
                "CurrentMinorVersionNumber": 0,
                "CurrentBuildNumber": "19045",
            },
            "Windows 10 Home",
            (10, 0),
            19045,
            0,
        ),
        (
            {"ProductName": "Windows 7", "CurrentVersion": "6.1", "CurrentBuildNumber": "7601"},
            "Windows 7",
            (6, 1),
            7601,
            0,
        ),
        ({"ProductName": "Windows X", "CurrentVersion": "x"}, "Windows X", (10, 0), 16299, 0),
        ({"ProductName": "a\\x"}, "a\\x", (10, 0), 16299, 0),
    ],
    ids=["11", "10", "7", "said wrongly", "not said"],
)
def test_software_says_it_better(
    said: dict[str, str | int],
    pretty_name: str,
    version: tuple[int, int],
    build: int,
    revision: int,
) -> None:
    escaped = {n: v.replace("\\", "\\\\") if isinstance(v, str) else v for n, v in said.items()}
    os = inspected(WIN10, software=software(EditionID="Professional", **escaped))
    assert (os.pretty_name, os.version, os.build, os.revision) == (
        pretty_name,
        version,
        build,
        revision,
    )
    assert os.edition == "Professional"


def test_installed_drivers_tell_the_version_where_the_database_does_not() -> None:
    os = inspected(WIN10, f"{HEADER}[-{PREFIX}\\DriverDatabase\\DriverPackages]\n")
    assert (os.version, os.build) == ((10, 0), 16299)


def test_server_by_its_product_type() -> None:
    text = f'{HEADER}[{CONTROL}\\ProductOptions]\n"ProductType"="ServerNT"\n'
    os = inspected(WIN10, text)
    assert (os.product, os.pretty_name) == (Product.SERVER, "Windows Server 10.0.16299")


@pytest.mark.parametrize(
    ("loader", "firmware"),
    [
        ("\\\\Windows\\\\system32\\\\winload.efi", FirmwareKind.UEFI),
        ("\\\\Windows\\\\system32\\\\winload.EXE", FirmwareKind.BIOS),
    ],
)
def test_boot_configuration_tells_the_firmware(loader: str, firmware: FirmwareKind) -> None:
    os = inspected(WIN10, boot=boot_store(loader))
    assert (os.boot, os.boot_entry) == (firmware, "My Windows")


@pytest.mark.parametrize(
    "store", [boot_store("\\\\grldr"), boot_store("x.efi", "{nothing}"), software()]
)
def test_boot_configuration_that_starts_no_windows_is_refused(store: str) -> None:
    with pytest.raises(InspectionError, match="the boot configuration BCD has no default entry"):
        inspected(WIN10, boot=store)


def test_control_set_is_that_of_the_next_boot() -> None:
    assert inspected(
        WIN7, f'{HEADER}[{PREFIX}\\Select]\n"Default"=dword:00000007\n'
    ).control_set == ("ControlSet001")
    text = (
        f'{HEADER}[{PREFIX}\\Select]\n"Default"=dword:00000002\n\n'
        f'[{PREFIX}\\ControlSet002\\Control\\ProductOptions]\n"ProductType"="WinNT"\n\n'
    )
    with pytest.raises(InspectionError, match="says '' where one of x86, amd64, arm64"):
        inspected(WIN7, text)  # the extract has no more of that set


@pytest.mark.parametrize("kind", ["dword:00000001", "hex(b):01,00,00,00,00,00,00,00"])
def test_clock_in_utc(kind: str) -> None:
    text = f'{HEADER}[{CONTROL}\\TimeZoneInformation]\n"RealTimeIsUniversal"={kind}\n'
    assert inspected(WIN10, text).clock_utc


def test_setup_at_work_is_told() -> None:
    text = f'{HEADER}[{PREFIX}\\Setup]\n"SystemSetupInProgress"=dword:00000001\n'
    assert "Windows Setup was still at work" in inspected(WIN7, text).notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[-{PREFIX}\\Select]\n", "has no control set that its key Select names"),
        (
            f'[{PREFIX}\\Select]\n"Default"=dword:00000009\n"Current"=dword:00000008\n',
            "has no control set",
        ),
        (
            f'[{CONTROL}\\Session Manager\\Environment]\n"PROCESSOR_ARCHITECTURE"="ARM64"\n',
            "is made for ARM64",
        ),
        (
            f'[{CONTROL}\\Session Manager\\Environment]\n"PROCESSOR_ARCHITECTURE"="IA64"\n',
            "says 'IA64' where one of x86, amd64, arm64",
        ),
        (f'[{CONTROL}\\ProductOptions]\n"ProductType"="?"\n', "says '\\?' where one of WinNT"),
        (
            f"[-{PREFIX}\\DriverDatabase]\n\n[-{CONTROL}\\Class]\n",
            "does not tell its Windows' version",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InspectionError, match=reason) as refused:
        inspected(WIN10, HEADER + text)
    assert refused.value.hint
