# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.unit.domainxml.conftest import Compare
from tradewind.domainxml.final import console_log_path, final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.errors import HypervisorError
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain, FinalNic, Vnc
from tradewind.model.hardware import DiskBus, Hardware
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.network import Plug
from tradewind.units import GiB, MiB


@pytest.fixture
def machine(debian: str, sizes: dict[str, int]) -> VirtualMachine:
    return parse_machine(debian, disk_facts=lambda target: DiskFacts(sizes[target]))


@pytest.fixture
def till(windows: str, sizes: dict[str, int]) -> VirtualMachine:
    return parse_machine(windows, disk_facts=lambda target: DiskFacts(sizes[target]))


@pytest.fixture
def till_plan(plan: FinalDomain) -> FinalDomain:
    return plan.model_copy(
        update={
            "name": "till-7",
            "uuid": "0f6f3a52-93f5-4f0f-8ac9-1d8f9a3f7b02",
            "kvm": True,
            "cpu": CpuChoice(
                mode=CpuMode.HOST_PASSTHROUGH, migratable=True, features=("rdtscp", "x2apic")
            ),
            "disks": (
                FinalDisk(disk_id="vda", path="/dev/vg1/till-7-vda", format="raw"),
                FinalDisk(disk_id="vdb", path="/dev/vg1/till-7-vdb", format="raw"),
            ),
            "nics": (
                FinalNic(mac="52:54:00:aa:bb:01", plug=Plug(name="shop")),
                FinalNic(mac="52:54:00:aa:bb:02", plug=Plug(name="shop")),
            ),
            "vnc": Vnc(listen="127.0.0.1"),
            "console_log": None,
        }
    )


def test_bios_under_emulation(
    machine: VirtualMachine, plan: FinalDomain, same_as_golden: Compare
) -> None:
    same_as_golden("final-bios-tcg", final_domain(machine, plan))


def test_uefi_with_kvm_and_vnc(
    till: VirtualMachine, till_plan: FinalDomain, same_as_golden: Compare
) -> None:
    same_as_golden("final-uefi-kvm", final_domain(till, till_plan))


def test_disks_on_scsi_with_a_config_drive(
    machine: VirtualMachine, plan: FinalDomain, same_as_golden: Compare
) -> None:
    changed = plan.model_copy(
        update={"hardware": Hardware(disk_bus=DiskBus.SCSI), "config_drive": "/pool/ledger01.iso"}
    )
    same_as_golden("final-scsi", final_domain(machine, changed))


def test_disks_on_sata(machine: VirtualMachine, plan: FinalDomain, same_as_golden: Compare) -> None:
    changed = plan.model_copy(update={"hardware": Hardware(disk_bus=DiskBus.SATA), "tpm": False})
    same_as_golden("final-sata", final_domain(machine, changed))


def test_machine_that_never_had_a_domain(plan: FinalDomain, same_as_golden: Compare) -> None:
    image = VirtualMachine(
        id="box", name="box", vcpus=1, memory=512 * MiB, disks=(Disk(id="disk0", capacity=GiB),)
    )
    cpu = CpuChoice(mode=CpuMode.LIBVIRT_DEFAULT, migratable=True)
    disks = (FinalDisk(disk_id="disk0", path="/pool/box.qcow2", format="qcow2"),)
    changed = plan.model_copy(update={"name": "box", "cpu": cpu, "disks": disks})
    same_as_golden("final-image", final_domain(image, changed))


def test_uefi_without_secure_boot(
    till: VirtualMachine, till_plan: FinalDomain, same_as_golden: Compare
) -> None:
    plain = till.model_copy(
        update={"firmware": till.firmware.model_copy(update={"secure_boot": False})}
    )
    same_as_golden("final-uefi-plain", final_domain(plain, till_plan))


def test_windows_under_emulation_says_what_it_loses(
    till: VirtualMachine, till_plan: FinalDomain
) -> None:
    emulated = till_plan.model_copy(update={"kvm": False})
    xml = final_domain(till, emulated)
    assert "hyperv" not in xml
    variables = (
        "The UEFI variables (boot entries) stay behind; the machine starts from the fallback path"
        " of its EFI partition."
    )
    assert shortfalls(till, emulated) == (
        *till.dropped,
        "Hyper-V enlightenments are left out: the host emulates the CPU.",
        variables,
    )
    assert shortfalls(till, till_plan) == (*till.dropped, variables)
    kept = till_plan.model_copy(update={"nvram": "/pool/till-7.fd"})
    assert shortfalls(till, kept) == till.dropped


def test_names_that_are_markup_stay_names(machine: VirtualMachine, plan: FinalDomain) -> None:
    disk = FinalDisk(disk_id="sda", path="/pool/a'b<c>&.qcow2", format="qcow2")
    xml = final_domain(machine, plan.model_copy(update={"disks": (disk,)}))
    assert "/pool/a'b&lt;c&gt;&amp;.qcow2" in xml


def test_pool_that_is_neither_files_nor_block_devices(
    machine: VirtualMachine, plan: FinalDomain
) -> None:
    disk = FinalDisk(disk_id="sda", path="rbd/ledger01", format="raw")
    with pytest.raises(HypervisorError, match="neither a file nor a block device"):
        final_domain(machine, plan.model_copy(update={"disks": (disk,)}))


def test_console_log_is_not_libvirts_own_log() -> None:
    assert console_log_path("/var/log/libvirt/qemu/", "ledger01") == (
        "/var/log/libvirt/qemu/ledger01-console.log"
    )
