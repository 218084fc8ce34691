# SPDX-License-Identifier: Apache-2.0
from tests.unit.domainxml.conftest import Compare
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.domainxml.reader import reader_domain
from tradewind.model.label import Label
from tradewind.model.machine import Disk
from tradewind.units import GiB


def test_reader_of_a_machine_that_is_shut_off(
    debian: str, label: Label, same_as_golden: Compare
) -> None:
    disks = parse_machine(debian, disk_facts=lambda _target: DiskFacts(GiB)).disks
    in_files = [disk.model_copy(update={"location": f"/srv/{disk.id}.qcow2"}) for disk in disks]
    block = Disk(id="vda", capacity=GiB, location="/dev/vg0/ledger01")
    xml = reader_domain("tradewind-e5f6a7b8-reader", [*in_files, block], label)
    same_as_golden("reader", xml)
