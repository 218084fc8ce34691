# SPDX-License-Identifier: Apache-2.0
"""A built image as a machine: its domain XML."""

from pathlib import Path

from images import BuiltImage
from lab import demo_machine, linux_guests, machines

DISKS = (Path("/c/os.qcow2"), Path("/c/data.qcow2"))


def built(variables: Path | None = None) -> BuiltImage:
    return BuiltImage(name="x", disks=DISKS, digest="0", checksum="0", variables=variables)


def test_the_demo_machine_starts_from_a_bios() -> None:
    xml = machines.describe(demo_machine.MACHINE, built(), kvm=False)
    assert "<source file='/var/lib/libvirt/images/demo-data.qcow2'/><target dev='sdb'" in xml
    assert "bus='0x02' slot='0x00'" in xml
    assert xml.count("<interface") == 1
    assert "pflash" not in xml


def test_uefi_has_variables_of_its_own_and_two_nics_sit_in_two_slots() -> None:
    xml = machines.describe(linux_guests.UEFI_LVM.machine, built(Path("/c/variables.fd")), kvm=True)
    assert "<nvram>/var/lib/libvirt/qemu/nvram/debian12-uefi-lvm_VARS.fd</nvram>" in xml
    assert "<domain type='kvm'>" in xml
    assert "bus='0x02'" in xml
    assert "bus='0x03'" in xml
    assert xml.count("pcie-root-port") == 3


def test_machines_are_told_apart() -> None:
    all_machines = [demo_machine.MACHINE, *(guest.machine for guest in linux_guests.ALL)]
    for of in ("name", "uuid", "address"):
        assert len({getattr(machine, of) for machine in all_machines}) == len(all_machines)
    macs = [mac for machine in all_machines for mac in machine.macs]
    assert len(set(macs)) == len(macs)


def test_half_of_the_guests_keep_their_addresses() -> None:
    kept = [guest for guest in linux_guests.ALL if not guest.set_dhcp]
    assert len(kept) in {len(linux_guests.ALL) // 2, (len(linux_guests.ALL) + 1) // 2}
