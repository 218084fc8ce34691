# SPDX-License-Identifier: Apache-2.0
"""Command lines that libvirt gave out, and ones of other shapes."""

import pytest

from tests.unit.domainxml.conftest import GOLDEN
from tradewind.domainxml.native import firmware_file


def test_flash_of_a_uefi_machine() -> None:
    """What libvirt 9.0 of Debian 12 said, `virsh domxml-to-native qemu-argv`."""
    text = (GOLDEN / "documents" / "qemu-argv-uefi.txt").read_text()
    assert firmware_file(text) == "/usr/share/OVMF/OVMF_CODE_4M.fd"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "qemu -drive file=/fw/code,,1.fd,if=pflash,format=raw,unit=0,readonly=on",
            "/fw/code,1.fd",
        ),
        ("qemu -drive file=/fw/vars.fd,if=pflash,format=raw,unit=1", None),
        ("qemu -bios /fw/OVMF.amdsev.fd", "/fw/OVMF.amdsev.fd"),
        ("qemu -machine pc -blockdev driver=null-co", None),
        (
            'qemu -blockdev \'{"driver":"file","node-name":"libvirt-1-storage","filename":"/a"}\'',
            None,
        ),
        ("qemu 'without an end", None),
        ("", None),
    ],
)
def test_other_command_lines(text: str, found: str | None) -> None:
    assert firmware_file(text) == found
