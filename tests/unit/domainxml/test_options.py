# SPDX-License-Identifier: Apache-2.0
"""Each option that shapes the created machine has a golden file: `final-option-<case>.xml`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.unit.domainxml.conftest import Compare
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDomain, FinalNic, Vnc
from tradewind.model.hardware import Hardware
from tradewind.model.machine import VirtualMachine
from tradewind.model.network import PlugKind, read_plug
from tradewind.model.options import ProviderOptions

UUID = "5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11"
MAC = "52:54:00:1a:2b:3c"


class Case(NamedTuple):
    """What is chosen, and which options that shows."""

    shows: tuple[str, ...]
    hardware: Mapping[str, Any] = MappingProxyType({})
    plan: Mapping[str, Any] = MappingProxyType({})


def on(plug: str) -> dict[str, Any]:
    return {"nics": (FinalNic(mac=MAC, plug=read_plug(plug)),)}


def cpu(**choice: Any) -> dict[str, Any]:
    return {"kvm": True, "cpu": CpuChoice.model_validate({"migratable": True, **choice})}


CASES = {
    "machine-pc-ide": Case(
        ("machine_type", "disk_bus"),
        {"machine_type": "pc", "disk_bus": "ide", "nic_model": "rtl8139"},
        {"machine_type": "pc-i440fx-7.2"},
    ),
    "firmware-uefi": Case(("firmware",), {"firmware": "uefi"}),
    "firmware-secure-boot": Case(("firmware",), {"firmware": "uefi with secure boot"}),
    "uefi-variables": Case(
        ("keep_uefi_variables",), {"firmware": "uefi"}, {"nvram": "/pool/tradewind-e5f6a7b8.fd"}
    ),
    "vcpus": Case(("vcpus",), {"vcpus": 3}),
    "cpu-topology": Case(("cpu_topology",), {"cpu_topology": "2,2,2"}),
    "memory": Case(("memory",), {"memory": 2048}),
    "disk-buses": Case(("disk_buses",), {"disk_bus": "scsi", "disk_buses": "sdb:sata"}),
    "disk-cache": Case(("disk_cache",), {"disk_cache": "writeback"}),
    "disk-io": Case(
        ("disk_io", "disk_discard", "disk_detect_zeroes"),
        {"disk_io": "io_uring", "disk_discard": "ignore", "disk_detect_zeroes": "on"},
    ),
    "boot-order": Case(("boot_order",), {"boot_order": "sdb,network"}),
    "nic-model": Case(("nic_model",), {"nic_model": "e1000e"}),
    "clock": Case(("clock",), {"clock": "localtime"}),
    "identity": Case(
        ("keep_uuid", "os_id", "title"),
        {"os_id": "http://debian.org/debian/13", "title": "Ledger, moved"},
        {"uuid": UUID, "origin": "Moved here by Tradewind: ledger01 of old."},
    ),
    "network-port-group": Case(("network_map",), {}, on("network:default/office")),
    "network-bridge": Case(("network_map",), {}, on("bridge:br0")),
    "network-ovs-vlan": Case(("network_map",), {}, on("ovs:br-int?vlan=42")),
    "network-ovs-trunk": Case(("network_map",), {}, on("ovs:br-int?vlan=42,43")),
    "config-drive": Case(("use_config_drive",), {}, {"config_drive": "/pool/ledger01.iso"}),
    "no-tpm-no-log": Case(
        ("add_tpm_device", "enable_vm_console_log"), {}, {"tpm": False, "console_log": None}
    ),
    "vnc": Case(
        ("enable_vm_vnc_console", "vnc_listen_address", "vm_console_log_dir"),
        {},
        {"vnc": Vnc(listen="::1"), "console_log": "/var/log/consoles/ledger01-console.log"},
    ),
    "cpu-passthrough": Case(
        ("cpu_mode", "cpu_migratable", "cpu_features"),
        {},
        cpu(mode=CpuMode.HOST_PASSTHROUGH, migratable=False, features=("invtsc", "rdtscp")),
    ),
    "cpu-host-model": Case(("cpu_mode",), {}, cpu(mode=CpuMode.HOST_MODEL)),
    "cpu-of-libvirt": Case(("cpu_mode",), {}, cpu(mode=CpuMode.LIBVIRT_DEFAULT)),
}

# Options that leave no trace in the domain, or not of this source.
WITHOUT_XML = {
    "autostart": "a flag beside the domain: tests/unit/host/domain/test_domains.py",
    "keep_memory_dumps": "where the source writes them: tests/unit/domainxml/test_dumps.py",
}
# Provider options that concern workers, transfers, the guest or where things are kept.
NOT_OF_THE_MACHINE = {
    "data_transfer_mechanism",
    "default_storage_pool",
    "migr_image_map",
    "migr_worker_iface_addr_src",
    "migr_worker_memory",
    "migr_worker_network",
    "migr_worker_vcpus",
    "migr_worker_volume_size",
    "retain_user_credentials",
    "set_dhcp",
    "sqlite_database_file",
    "ssh_key_path",
    "windows_virtio_iso_url",
}


@pytest.fixture
def machine(debian: str, sizes: dict[str, int]) -> VirtualMachine:
    return parse_machine(debian, disk_facts=lambda target: DiskFacts(sizes[target]))


Shape = Callable[[Case], FinalDomain]


@pytest.fixture
def shape(plan: FinalDomain) -> Shape:
    return lambda case: plan.model_copy(
        update={"hardware": Hardware.model_validate(dict(case.hardware)), **case.plan}
    )


@pytest.mark.parametrize("name", CASES)
def test_option(name: str, machine: VirtualMachine, shape: Shape, same_as_golden: Compare) -> None:
    same_as_golden(f"final-option-{name}", final_domain(machine, shape(CASES[name])))


def test_every_option_has_a_golden_file() -> None:
    shown = {option for case in CASES.values() for option in case.shows}
    assert set(Hardware.model_fields) - shown == set(WITHOUT_XML)
    of_the_machine = set(ProviderOptions.model_fields) - NOT_OF_THE_MACHINE
    assert of_the_machine <= shown, of_the_machine - shown


def test_every_kind_of_plug_has_a_golden_file() -> None:
    plugs = [nic.plug.kind for case in CASES.values() for nic in case.plan.get("nics", ())]
    assert set(plugs) == set(PlugKind)


def test_options_change_something(machine: VirtualMachine, plan: FinalDomain, shape: Shape) -> None:
    plain = final_domain(machine, plan)
    idle = [name for name, case in CASES.items() if final_domain(machine, shape(case)) == plain]
    assert idle == []


def test_topology_that_does_not_fit_is_said(
    windows: str, sizes: dict[str, int], shape: Shape
) -> None:
    till = parse_machine(windows, disk_facts=lambda target: DiskFacts(sizes[target]))
    fitting, unfitting = (shape(Case((), {"vcpus": number})) for number in (8, 6))
    said = "The CPU topology is left out: it does not fit the number of vCPUs asked for."
    assert said not in shortfalls(till, fitting)
    assert said in shortfalls(till, unfitting)
