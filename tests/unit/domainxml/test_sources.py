# SPDX-License-Identifier: Apache-2.0
"""Descriptions as other programs leave them: what becomes of each, and what is said of it."""

import pytest

from tests.unit.domainxml.conftest import Compare, read
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain, FinalNic
from tradewind.model.machine import VirtualMachine
from tradewind.model.network import Plug
from tradewind.units import GiB

LOST = {
    "nova": (
        "CPU and NUMA pinning belongs to the old host, and is left out.",
        "The CPU model Cascadelake-Server is replaced by what cpu_mode says.",
        "CPU features that the source forced or hid are left to cpu_features.",
        "What other programs noted of the machine (http://openstack.org/xmlns/libvirt/nova/1.1) is"
        " left out.",
        "The cdrom medium /var/lib/nova/instances/9d3f6c2e-1f52-4a3b-9a0e-6f1a2b3c4d5e/disk.config"
        " stays on the source.",
        "The vnc display is replaced by what enable_vm_vnc_console says.",
    ),
    "ovirt": (
        "I/O threads are left out.",
        "The CPU model EPYC is replaced by what cpu_mode says.",
        "The NUMA cells of the guest are left out.",
        "Memory hot-plug and DIMMs are left out; the machine gets its memory at boot.",
        "A reboot restarts the moved machine; on the source it meant destroy.",
        "What other programs noted of the machine (http://ovirt.org/vm/tune/1.0) is left out.",
        "What other programs noted of the machine (http://ovirt.org/vm/1.0) is left out.",
        "Disk sda is shared between machines on the source; the moved machine has a copy of its"
        " own.",
        "The filter vdsm-no-mac-spoofing of NIC 56:6f:1a:2b:00:01 is left out: define it on the new"
        " host, and add it.",
        "The vnc display is replaced by what enable_vm_vnc_console says.",
        "The channel ovirt-guest-agent.0 is left out.",
        "The machine booted from something other than its disk first; the moved machine boots from"
        " its disk.",
    ),
    "kernel-of-the-host": (
        "The host boots this machine's kernel directly (/srv/kernels/vmlinuz-6.1); the moved"
        " machine boots from its own disk: see that it has a kernel and a boot loader.",
        "The emulator /opt/qemu/bin/qemu-system-x86_64 of its own is left out: the new host's is"
        " used.",
        "The NIC 52:54:00:0b:00:07 is of type user on the source; it becomes one on what the"
        " network map says.",
        "The NIC 52:54:00:0b:00:08 is of type direct on the source; it becomes one on what the"
        " network map says.",
        "The NIC 52:54:00:0b:00:09 is of type vdpa on the source; it becomes one on what the"
        " network map says.",
        "Serial ports other than the first are left out.",
        "The redirdev device is left out.",
    ),
}


def machine_of(name: str) -> VirtualMachine:
    return parse_machine(read(f"sources/{name}"), disk_facts=lambda _target: DiskFacts(GiB))


def plan_of(machine: VirtualMachine, plan: FinalDomain) -> FinalDomain:
    return plan.model_copy(
        update={
            "name": machine.name,
            "uuid": machine.id,
            "kvm": True,
            "cpu": CpuChoice(mode=CpuMode.HOST_PASSTHROUGH, migratable=True),
            "disks": tuple(
                FinalDisk(disk_id=disk.id, path=f"/pool/{disk.id}.qcow2", format="qcow2")
                for disk in machine.disks
            ),
            "nics": tuple(FinalNic(mac=nic.mac, plug=Plug(name="default")) for nic in machine.nics),
            "console_log": None,
        }
    )


@pytest.mark.parametrize("name", LOST)
def test_source(name: str, plan: FinalDomain, same_as_golden: Compare) -> None:
    machine = machine_of(name)
    made = plan_of(machine, plan)
    same_as_golden(f"final-from-{name}", final_domain(machine, made))
    assert shortfalls(machine, made) == LOST[name]


def test_sectors_and_places_are_read() -> None:
    disks = machine_of("ovirt").disks
    assert [disk.sector for disk in disks] == [512, 4096]
    assert machine_of("kernel-of-the-host").disks[0].format == "raw"


def test_uuid_among_the_smbios_strings_is_the_domains(plan: FinalDomain) -> None:
    machine = machine_of("nova")
    made = plan_of(machine, plan)
    other = made.model_copy(update={"uuid": "0f6f3a52-93f5-4f0f-8ac9-1d8f9a3f7b02"})
    assert '<entry name="uuid">0f6f3a52' in final_domain(machine, other)
    assert 'name="uuid"' not in final_domain(machine, made.model_copy(update={"uuid": None}))
