# SPDX-License-Identifier: Apache-2.0
"""Command lines that libvirt gave out, and ones of other shapes."""

import pytest

from tests.unit.domainxml.conftest import GOLDEN
from tradewind.domainxml.native import ChosenFirmware, firmware


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("qemu-argv-uefi.txt", ChosenFirmware("/usr/share/OVMF/OVMF_CODE_4M.fd", "raw")),
        ("qemu-argv-uefi-libvirt11.txt", ChosenFirmware("/usr/share/OVMF/OVMF_CODE_4M.fd", "raw")),
        ("qemu-argv-uefi-qcow2.txt", ChosenFirmware("/fw/OVMF_CODE_4M.qcow2", "qcow2")),
    ],
)
def test_flash_of_a_uefi_machine(document: str, found: ChosenFirmware) -> None:
    """What `virsh domxml-to-native qemu-argv` said: libvirt 9.0 of Debian 12, 11.3 of Debian 13.

    The latter had a firmware descriptor of qcow2 files before its own, for the last document.
    """
    assert firmware((GOLDEN / "documents" / document).read_text()) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "qemu -drive file=/fw/code,,1.fd,if=pflash,format=raw,unit=0,readonly=on"
            " -drive file=/fw/vars.fd,if=pflash,format=raw,unit=1",
            ChosenFirmware("/fw/code,1.fd", "raw"),
        ),
        ("qemu -drive file=/fw/vars.fd,if=pflash,format=raw,unit=1", None),
        ("qemu -bios /fw/OVMF.amdsev.fd", ChosenFirmware("/fw/OVMF.amdsev.fd", "")),
        ("qemu -machine pc -blockdev driver=null-co", None),
        (
            'qemu -blockdev \'{"driver":"file","node-name":"libvirt-1-storage","filename":"/a"}\'',
            None,
        ),
        ("qemu 'without an end", None),
        ("", None),
    ],
)
def test_other_command_lines(text: str, found: ChosenFirmware | None) -> None:
    assert firmware(text) == found
