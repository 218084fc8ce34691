# SPDX-License-Identifier: Apache-2.0
import pytest

from tradewind.domainxml.machine import DiskFacts, disk_targets, parse_machine
from tradewind.errors import HypervisorError
from tradewind.model.machine import (
    Clock,
    Disk,
    Firmware,
    FirmwareKind,
    Nic,
    PowerState,
    VirtualMachine,
)
from tradewind.units import GiB, MiB


def parse(xml: str, sizes: dict[str, int], **more: PowerState) -> VirtualMachine:
    return parse_machine(
        xml, disk_facts=lambda target: DiskFacts(sizes[target], sizes[target] // 4), **more
    )


def test_debian(debian: str, sizes: dict[str, int]) -> None:
    assert parse(debian, sizes, power=PowerState.RUNNING) == VirtualMachine(
        id="5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11",
        name="ledger01",
        vcpus=2,
        memory=GiB,
        disks=(
            Disk(
                id="sda",
                capacity=20 * GiB,
                allocation=5 * GiB,
                format="qcow2",
                location="/var/lib/libvirt/images/ledger01.qcow2",
                block=False,
                backend="/var/lib/libvirt/images",
                bus="sata",
            ),
            Disk(
                id="sdb",
                capacity=4 * GiB,
                allocation=GiB,
                format="qcow2",
                location="data/ledger01-data.qcow2",
                backend="data",
                bus="sata",
            ),
        ),
        nics=(Nic(mac="52:54:00:1a:2b:3c", network="office", model="e1000"),),
        power=PowerState.RUNNING,
        os_hint="http://debian.org/debian/12",
        description=debian,
        dropped=(),
    )


def test_windows(windows: str, sizes: dict[str, int]) -> None:
    machine = parse(windows, sizes)
    assert (machine.vcpus, machine.memory) == (4, 8 * GiB)
    assert machine.firmware == Firmware(kind=FirmwareKind.UEFI, secure_boot=True)
    assert machine.tpm
    assert machine.clock is Clock.LOCAL
    assert [(disk.id, disk.location, disk.backend, disk.format) for disk in machine.disks] == [
        ("vda", "/dev/vg0/till-7-data", "/dev/vg0", "raw"),
        ("vdb", "rbd:pier/till-7", "pier", "raw"),
    ]
    assert [nic.network for nic in machine.nics] == ["br-shop", "eno2"]


def test_what_windows_loses(windows: str, sizes: dict[str, int]) -> None:
    assert parse(windows, sizes).dropped == (
        "CPU and NUMA pinning belongs to the old host, and is left out.",
        "Huge pages and other memory backing are left out.",
        "The generation ID is a new one: the guest is told that it is a copy.",
        "QEMU options outside libvirt's description are left out.",
        "The host's pci device 0000:03:00:0 is not passed through.",
        "The host's usb device 04b8:0202 is not passed through.",
        "The shared folder /srv/prices (“prices”) is not shared.",
        "The cdrom medium /srv/iso/office.iso stays on the source.",
        "The SCSI LUN /dev/disk/by-id/scsi-1 is passed through, and not moved.",
        "I/O limits of disks are left out.",
        "The NIC 52:54:00:aa:bb:02 is of type direct on the source; it becomes one on what the"
        " network map says.",
        "Bandwidth limits of NICs are left out.",
        "VLAN tags of NICs are left out: the network map decides.",
        "The TPM's contents stay on the source. What is sealed in it asks for its recovery key:"
        " suspend BitLocker before the move (manage-bde -protectors -disable C:), or have its key;"
        " for LUKS have a passphrase, and enroll the new TPM afterwards (systemd-cryptenroll).",
        "The spice display is replaced by what enable_vm_vnc_console says.",
        "The ccid controller is left out.",
        "The channel com.redhat.spice.0 is left out.",
        "The sound device is left out.",
        "The shmem device is left out.",
        "3D acceleration is left out.",
    )


def test_disks_in_the_order_of_the_xml(windows: str, debian: str) -> None:
    assert disk_targets(debian) == ("sda", "sdb")
    assert disk_targets(windows) == ("vda", "vdb")


def test_uefi_without_secure_boot(windows: str, sizes: dict[str, int]) -> None:
    plain = (
        windows.replace(" secure='yes'", "")
        .replace("<os firmware='efi'>", "<os>")
        .replace("<feature enabled='yes' name='secure-boot'/>", "")
    )
    assert parse(plain, sizes).firmware == Firmware(kind=FirmwareKind.UEFI)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("<memory>2048</memory>", 2048 * 1024),
        ("<memory unit='b'>4096</memory>", 4096),
        ("<memory unit='MB'>2</memory>", 2_000_000),
        ("<memory unit='GiB'>3</memory>", 3 * GiB),
    ],
)
def test_memory_units(debian: str, sizes: dict[str, int], memory: str, expected: int) -> None:
    xml = debian.replace("<memory unit='KiB'>1048576</memory>", memory)
    assert parse(xml, sizes).memory == expected


def test_entities_are_not_resolved(debian: str, sizes: dict[str, int]) -> None:
    bomb = '<!DOCTYPE domain [<!ENTITY leak SYSTEM "file:///etc/hostname">]>' + debian.replace(
        "<name>ledger01</name>", "<name>&leak;</name>"
    )
    assert parse(bomb, sizes).name == ""


def test_a_document_that_is_too_long_is_not_read(debian: str, sizes: dict[str, int]) -> None:
    assert parse(debian + " " * (4 * MiB - len(debian)), sizes).name
    with pytest.raises(HypervisorError, match=r"more than 4\.0 MiB"):
        parse(debian + " " * 4 * MiB, sizes)


def test_elements_inside_each_other_without_end_are_not_read(sizes: dict[str, int]) -> None:
    with pytest.raises(HypervisorError, match="not XML"):
        parse("<domain>" * 100_000, sizes)


def test_not_xml(sizes: dict[str, int]) -> None:
    with pytest.raises(HypervisorError, match="not XML"):
        parse("<domain", sizes)
