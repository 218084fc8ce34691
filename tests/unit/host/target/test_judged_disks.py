# SPDX-License-Identifier: Apache-2.0
"""What disks keep of their source's description, judged by libvirt on each bus."""

import itertools
from datetime import UTC, datetime

import libvirt
import pytest

from tests.fakes.described import source
from tests.fakes.embedded_libvirt import EmbeddedConnection
from tradewind.domainxml import devices
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.host import facts as facts_of
from tradewind.host.domain import twins
from tradewind.host.target import domain_plan
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain
from tradewind.model.hardware import DiskBus, Hardware
from tradewind.model.host import HostFacts
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB

PLAIN = ProviderOptions.model_validate(
    {"cpu_mode": "host-passthrough", "cpu_features": "", "add_tpm_device": False}
)
PIECES = {
    "serial": "<serial>HARBOUR-1</serial>",
    "wwn": "<wwn>5000c50015ea71ad</wwn>",
    "vendor": "<vendor>PIER</vendor>",
    "product": "<product>LEDGER</product>",
    "blockio": "<blockio logical_block_size='512'/>",
    "geometry": "<geometry cyls='16' heads='8' secs='63'/>",
    "readonly": "<readonly/>",
}


@pytest.mark.parametrize(("name", "bus"), itertools.product(PIECES, DiskBus))
def test_piece_of_a_disk_is_kept_exactly_where_libvirt_takes_it(
    destination: EmbeddedConnection, offered: HostFacts, name: str, bus: DiskBus
) -> None:
    machine = source(disk=PIECES[name])
    hardware = {"disk_bus": bus, "machine_type": "pc" if bus is DiskBus.IDE else None}
    asked = {"machine": "a", "source": "b", "destination": "c", "name": "new", "hardware": hardware}
    request = DeployRequest.model_validate(asked)
    suits = domain_plan.check(destination, machine, request, PLAIN, offered)
    assert suits.left_out == ()  # the table knew, so that libvirt need not be asked twice
    facts = facts_of.for_machine(destination, offered, request.hardware.machine_type)
    twin = domain_plan.twin(machine, request, PLAIN, facts, suits)
    text = final_domain(machine, twin)
    tag = f"<{name}"
    told = any(f"The {name} of disk sda is left out" in line for line in shortfalls(machine, twin))
    assert told is not (tag in text)
    with_piece = text if tag in text else text.replace("</disk>", f"{PIECES[name]}</disk>", 1)
    assert taken(destination, with_piece) is (tag in text)


def taken(destination: EmbeddedConnection, xml: str) -> bool:
    try:
        domain = destination.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError:
        return False
    domain.undefine()
    # A geometry is refused only when QEMU's command line is written. The CPU is no concern here.
    plain = xml.replace('<cpu mode="host-passthrough"', '<cpu mode="maximum"')
    return not twins.start_objection(destination, plain)


def disks_on(buses: dict[str, str], *, config: bool) -> tuple[VirtualMachine, FinalDomain]:
    machine = source()
    disks = tuple(Disk(id=name, capacity=GiB) for name in buses)
    label = Label(
        transfer="",
        run="0123456789ab",
        purpose=Purpose.TWIN,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        controller="mover",
    )
    plan = FinalDomain(
        name="many",
        kvm=False,
        machine_type="pc-q35-7.2",
        cpu=CpuChoice(mode=CpuMode.MAXIMUM, migratable=True),
        disks=tuple(FinalDisk(disk_id=name, path=f"/x/{name}", format="qcow2") for name in buses),
        hardware=Hardware.model_validate({"disk_buses": buses}),
        config_drive="/x/config.iso" if config else None,
        label=label,
    )
    return machine.model_copy(update={"disks": disks, "description": None}), plan


@pytest.mark.parametrize("config", [False, True])
@pytest.mark.parametrize(
    ("scsi", "sata"), [(1, 0), (6, 0), (7, 0), (8, 0), (14, 0), (15, 0), (30, 0), (1, 7), (7, 7)]
)
def test_no_disk_is_on_a_controller_that_guests_cannot_drive(
    destination: EmbeddedConnection, scsi: int, sata: int, config: bool
) -> None:
    """Libvirt adds what is missing, of a model of its own choice."""
    buses = dict.fromkeys((f"vd{number}" for number in range(sata)), "sata")
    buses |= dict.fromkeys((f"vd{number}" for number in range(sata, sata + scsi)), "scsi")
    machine, plan = disks_on(buses, config=config)
    domain = destination.defineXMLFlags(
        final_domain(machine, plan), libvirt.VIR_DOMAIN_DEFINE_VALIDATE
    )
    made = parse(domain.XMLDesc())
    domain.undefine()
    models = [each.get("model") for each in made.iterfind("devices/controller[@type='scsi']")]
    used = {
        address.get("controller")
        for disk in made.iterfind("devices/disk")
        for address in disk.iterfind("address")
        if (target := disk.find("target")) is not None and target.get("bus") == "scsi"
    }
    assert set(models) == {"virtio-scsi"}
    assert used <= {str(index) for index in range(len(models))}


def test_index_of_a_target() -> None:
    assert all(
        devices.target_index(devices.target_name("sd", index)) == index for index in range(800)
    )
