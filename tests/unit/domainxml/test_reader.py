# SPDX-License-Identifier: Apache-2.0
"""The reader holds the disks of a machine as its own definition describes them."""

import pytest

from tests.unit.domainxml.conftest import Compare
from tradewind.domainxml import attached
from tradewind.domainxml.document import parse
from tradewind.domainxml.dropped import QEMU
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.domainxml.reader import reader_domain
from tradewind.model.machine import Disk
from tradewind.model.run import Label
from tradewind.units import GiB


def test_reader_of_a_machine_that_is_shut_off(
    debian: str, label: Label, same_as_golden: Compare
) -> None:
    disks = parse_machine(debian, disk_facts=lambda _target: DiskFacts(GiB)).disks
    in_files = [disk.model_copy(update={"location": f"/srv/{disk.id}.qcow2"}) for disk in disks]
    block = Disk(id="vda", capacity=GiB, location="/dev/vg0/ledger01")
    xml = reader_domain("tradewind-e5f6a7b8-reader", [*in_files, block], label)
    same_as_golden("reader", xml)


def test_read_only_disk_is_not_opened_for_writing(label: Label) -> None:
    """Its image may be shared: QEMU's lock for writers would keep other machines from starting."""
    disks = [
        Disk(id="vda", capacity=GiB, location="/a"),
        Disk(id="vdb", capacity=GiB, location="/b", read_only=True),
    ]
    assert attached.read_only_disks(reader_domain("tradewind-e5f6a7b8-reader", disks, label)) == (
        "vdb",
    )


def test_reader_asks_for_backups_where_the_host_wants_to_be_asked(label: Label) -> None:
    document = parse(reader_domain("tradewind-e5f6a7b8-reader", [], label, ask_for_backup=True))
    (asked,) = document.iterfind(f"{{{QEMU}}}capabilities/{{{QEMU}}}add")
    assert asked.get("capability") == "incremental-backup"


RHEV = "/rhev/data-center/5849b030/images/6f4a/9c1b"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("block", f"<source dev='{RHEV}'/>"),
        ("file", "<source file='/dev/shm/a.qcow2'/>"),
        ("block", "<source dev='/dev/vg0/a'/>"),
        ("file", "<source file='/srv/a.qcow2'/>"),
    ],
)
def test_disk_is_of_the_kind_that_its_source_says(label: Label, kind: str, source: str) -> None:
    """Not of what its path looks like: libvirt opens a device as a file with other locks."""
    xml = (
        f"<domain><name>a</name><memory>1024</memory><devices><disk type='{kind}' device='disk'>"
        f"{source}<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    disks = parse_machine(xml, disk_facts=lambda _target: DiskFacts(GiB)).disks
    (disk,) = parse(reader_domain("tradewind-e5f6a7b8-reader", disks, label)).iterfind(
        "devices/disk"
    )
    assert disk.get("type") == kind
    written = disk.find("source")
    assert written is not None
    assert written.get("dev" if kind == "block" else "file") == disks[0].location
