# SPDX-License-Identifier: Apache-2.0
"""What the host cannot give is refused, with what it can."""

from typing import Any

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import BadInputError, OptionError
from tradewind.host import facts as facts_of
from tradewind.host.target import domain_plan, requirements
from tradewind.model.host import HostFacts
from tradewind.model.machine import Disk, Nic, VirtualMachine
from tradewind.model.network import read_plug
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.units import GiB

PLAIN = ProviderOptions.model_validate({"cpu_features": "", "add_tpm_device": False})
NIC = Nic(mac="52:54:00:1a:2b:3c", network="office")


def check(host: FakeConnection, machine: VirtualMachine, **choices: Any) -> None:
    request = DeployRequest.model_validate(
        {"machine": "ledger01", "source": "old", "destination": "kvm1", "hardware": choices}
    )
    domain_plan.check(host, machine, request, PLAIN, facts_of.survey(host))


def test_what_the_host_has_passes(host: FakeConnection, machine: VirtualMachine) -> None:
    check(host, machine, machine_type="pc", disk_bus="ide", boot_order="sdb,network")
    check(host, machine, firmware="uefi with secure boot", disk_buses="sda:sata", vcpus=288)


@pytest.mark.parametrize(
    ("choices", "said", "hint"),
    [
        ({"machine_type": "pc-q35-9.1"}, "machine_type: vm has no machine type", "pc, pc-i440fx"),
        ({"disk_bus": "ide"}, "disk_bus: pc-q35-7.2 on vm has no ide", "machine_type pc"),
        ({"disk_buses": "sdz:sata"}, "disk_buses: ledger01 has no disk “sdz”", "sda, sdb"),
        ({"boot_order": "network,vda"}, "boot_order: ledger01 has no disk “vda”", "sda, sdb"),
        ({"machine_type": "pc", "vcpus": 256}, "is to have 256 vCPUs, and pc-i440fx-7.2", "q35"),
        (
            {"machine_type": "pc", "firmware": "uefi with secure boot"},
            "option firmware: vm has no firmware with it for pc-i440fx-7.2",
            "leave machine_type at q35",
        ),
    ],
)
def test_what_it_has_not_is_refused(
    host: FakeConnection, machine: VirtualMachine, choices: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(BadInputError, match=said) as caught:
        check(host, machine, **choices)
    assert hint in caught.value.hint


def test_fifth_disk_on_ide(host: FakeConnection, machine: VirtualMachine) -> None:
    disks = tuple(Disk(id=f"sd{letter}", capacity=GiB) for letter in "abcde")
    with pytest.raises(OptionError, match="more than 4 disks"):
        check(host, machine.model_copy(update={"disks": disks}), machine_type="pc", disk_bus="ide")


def test_sectors_that_sata_does_not_have(host: FakeConnection, machine: VirtualMachine) -> None:
    large = machine.model_copy(update={"disks": (Disk(id="sda", capacity=GiB, sector=4096),)})
    check(host, large)
    with pytest.raises(OptionError, match="sectors of 4096 bytes"):
        check(host, large, disk_bus="sata")


@pytest.mark.parametrize(
    ("plug", "said"),
    [
        ("bridge:br9", "vm has no bridge “br9”"),
        ("network:lan/dmz", "network “lan” of vm has no port group “dmz”"),
        ("lan?vlan=42", "takes no VLAN tag"),
        ("bridge:br0?vlan=42", "takes no VLAN tag"),
    ],
)
def test_plug_that_is_not_there(facts: HostFacts, plug: str, said: str) -> None:
    rich = facts.model_copy(
        update={"devices": ("br0", "br-int"), "port_groups": ("lan/office",), "tagging": ("sdn",)}
    )
    with pytest.raises(OptionError, match=said):
        requirements.require_plug(NIC, read_plug(plug), rich)


@pytest.mark.parametrize(
    "plug",
    ["bridge:br0", "network:lan/office", "ovs:br-int?vlan=1,2", "sdn?vlan=42"],
)
def test_plug_that_is_there(facts: HostFacts, plug: str) -> None:
    rich = facts.model_copy(
        update={
            "devices": ("br0", "br-int"),
            "networks": ("lan", "sdn"),
            "port_groups": ("lan/office",),
            "tagging": ("sdn",),
        }
    )
    requirements.require_plug(NIC, read_plug(plug), rich)
    new = rich.model_copy(update={"libvirt_version": "11.0.0"})
    requirements.require_plug(NIC, read_plug("bridge:br0?vlan=42"), new)


def test_bridges_that_cannot_be_listed_are_believed(facts: HostFacts) -> None:
    unknown = facts.model_copy(update={"devices": ()})
    requirements.require_plug(NIC, read_plug("bridge:br9"), unknown)
