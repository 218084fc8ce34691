# SPDX-License-Identifier: Apache-2.0
"""Choices of hardware, typed or as text."""

from typing import Any

import pytest
from pydantic import ValidationError

from tradewind.model.hardware import CpuTopology, DiskBus, FirmwareChoice, Hardware
from tradewind.model.machine import Firmware, FirmwareKind

UEFI = Firmware(kind=FirmwareKind.UEFI)


def test_text_of_a_command() -> None:
    read = Hardware.model_validate(
        {
            "machine_type": "",
            "cpu_topology": "2,4",
            "disk_buses": "sda:sata, sdb:ide",
            "boot_order": "sdb,network",
            "memory": "512",
        }
    )
    assert read.machine_type is None
    assert read.cpu_topology == CpuTopology(sockets=2, cores=4, threads=1)
    assert read.disk_buses == {"sda": DiskBus.SATA, "sdb": DiskBus.IDE}
    assert read.boot_order == ("sdb", "network")
    assert Hardware.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"cpu_topology": "1,1,1,1"}, "sockets,cores,threads"),
        ({"cpu_topology": "0"}, "sockets"),
        ({"cpu_topology": {"cores": 2}, "vcpus": 4}, "makes 2 vCPUs, and vcpus says 4"),
        ({"disk_io": "native", "disk_cache": "unsafe"}, "disk_io native"),
        ({"disk_detect_zeroes": "unmap", "disk_discard": "ignore"}, "disk_detect_zeroes unmap"),
        ({"boot_order": "sda,sda"}, "names a device twice"),
        ({"os_id": "debian12"}, "os_id"),
        ({"machine_type": "pc;rm"}, "machine_type"),
        ({"title": "two\nlines"}, "title"),
        ({"memory": 1}, "memory"),
        ({"disk_buses": "sda"}, "disk_buses"),
    ],
)
def test_choices_that_cannot_be(choices: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Hardware.model_validate(choices)


def test_choice_or_source() -> None:
    assert Hardware().firmware_of(UEFI) == UEFI
    assert Hardware(firmware=FirmwareChoice.BIOS).firmware_of(UEFI) == Firmware()
    assert Hardware(firmware=FirmwareChoice.SECURE_BOOT).firmware_of(Firmware()).secure_boot
    assert (Hardware().vcpus_of(3), Hardware(vcpus=2).vcpus_of(3)) == (3, 2)
    assert Hardware(cpu_topology=CpuTopology(cores=4)).vcpus_of(3) == 4
