# SPDX-License-Identifier: Apache-2.0
"""What a machine boots from, and the halves of teaming pairs."""

import pytest

from tests.fakes.described import source
from tests.unit.domainxml.conftest import Validate
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.model.deploy import FinalDisk, FinalDomain, FinalNic
from tradewind.model.hardware import Hardware
from tradewind.model.network import Plug

LUN = """<disk type="block" device="lun"><source dev="/dev/sdq"/>
<target dev="sdb" bus="scsi"/>{boot}</disk>"""
CDROM = """<disk type="file" device="cdrom"><source file="/srv/x.iso"/>
<target dev="sdc" bus="sata"/><boot order="1"/></disk>"""
PAIR = """<interface type="network"><mac address="52:54:00:1a:2b:3c"/><source network="lan"/>
<model type="virtio"/><teaming type="persistent"/><alias name="ua-backup0"/></interface>
<interface type="{kind}"><mac address="52:54:00:1a:2b:3c"/>{vf}
<teaming type="transient" persistent="ua-backup0"/></interface>"""
VF = """<source><address type="pci" domain="0x0000" bus="0x07" slot="0x10" function="0x1"/>
</source>"""


def plan_of(plan: FinalDomain, nics: int = 0, **hardware: object) -> FinalDomain:
    disk = FinalDisk(disk_id="sda", path="/pool/a.qcow2", format="qcow2")
    nic = FinalNic(mac="52:54:00:1a:2b:3c", plug=Plug(name="lan"))
    chosen = Hardware.model_validate(hardware)
    return plan.model_copy(update={"disks": (disk,), "nics": (nic,) * nics, "hardware": chosen})


@pytest.mark.parametrize("kind", ["hostdev", "network"])
def test_lasting_half_of_a_pair_is_the_nic_of_the_new_machine(
    plan: FinalDomain, validate: Validate, kind: str
) -> None:
    vf = VF if kind == "hostdev" else "<source network='vf-pool'/>"
    machine = source(devices=PAIR.format(kind=kind, vf=vf))
    assert [(nic.mac, nic.network) for nic in machine.nics] == [("52:54:00:1a:2b:3c", "lan")]
    said = [line for line in machine.dropped if "52:54:00:1a:2b:3c" in line]
    assert "passed-through half is left out" in said[0]
    assert not any("is of type" in line for line in said)
    domain = parse(final_domain(machine, plan_of(plan, nics=1)))
    validate(domain, "domain")
    assert len(domain.findall("devices/interface")) == 1


@pytest.mark.parametrize("boot", ["<boot order='1'/>", ""])
def test_lun_that_the_machine_booted_from_is_named(plan: FinalDomain, boot: str) -> None:
    machine = source(devices=LUN.format(boot=boot))
    if not boot:
        text = machine.description or ""
        first = text.index("<disk")
        lun = LUN.format(boot="")
        text = text.replace(lun, "")
        machine = machine.model_copy(update={"description": text[:first] + lun + text[first:]})
    said = shortfalls(machine, plan_of(plan))
    assert any("booted from the SCSI LUN /dev/sdq, which is not moved" in line for line in said)
    chosen = shortfalls(machine, plan_of(plan, boot_order="sda"))
    assert not any("booted from" in line for line in chosen)


def test_lun_that_is_not_booted_from_is_only_left(plan: FinalDomain) -> None:
    machine = source(devices=LUN.format(boot=""))
    said = shortfalls(machine, plan_of(plan))
    assert "The SCSI LUN /dev/sdq is passed through, and not moved." in said
    assert not any("booted from" in line for line in said)


def test_medium_that_the_machine_booted_from_is_told(plan: FinalDomain) -> None:
    said = shortfalls(source(devices=CDROM), plan_of(plan))
    assert any("booted from something other than its disk first" in line for line in said)


def test_plain_machine_boots_as_it_did(plan: FinalDomain) -> None:
    assert shortfalls(source(), plan_of(plan)) == ()
