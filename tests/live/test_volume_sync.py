# SPDX-License-Identifier: Apache-2.0
"""Volumes that follow their disks: other names, other places, other pools, no room."""

import pytest

from lab import guests, namespaces, site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind
from tradewind.errors import CapacityError, OptionError
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.model.storage import StorageMap
from tradewind.units import MiB

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def restless(the_lab: Lab) -> Running:
    machine = running.make(the_lab.source, "restless", {"vda": "64M", "vdb": "64M"})
    machine.io("vda", "write -P 1 1M 8M")
    machine.io("vdb", "write -P 2 9M 4M")
    return machine


def execute(machine: Running, **changes: object) -> TransferReport:
    from flows.transfer import transfer  # noqa: PLC0415 - Prefect reads its settings at import

    names = {"machine": machine.name, "source": site.SOURCE, "destination": site.DESTINATION}
    return transfer(TransferRequest.model_validate({**names, **changes}))


def test_disks_that_change_places_are_not_sent_again(
    tradewind: Tradewind, the_lab: Lab, restless: Running
) -> None:
    """Same names, other images: each replica volume follows its image."""
    first = tradewind.transfer(restless.name)
    assert first.sent == 12 * MiB
    restless.stop()
    swap(restless)
    restless.start()
    again = tradewind.transfer(restless.name)
    assert again.sent == 0
    assert len(again.plan.rename) == 2
    for kept in again.plan.keep:
        there = hosts.volume_file(the_lab.destination, kept.volume.name)
        running.assert_same(restless, there, kept.disk_id)


def swap(machine: Running) -> None:
    document = machine.virsh("dumpxml", machine.name, "--inactive")
    one, other = (f"dev='{target}'" for target in ("vda", "vdb"))
    swapped = document.replace(one, "dev='vdx'").replace(other, one).replace("dev='vdx'", other)
    path = guests.inside(namespaces.plan_of(machine.host), "/var/lib/libvirt/images/swap.xml")
    path.write_text(swapped)
    machine.virsh("define", "/var/lib/libvirt/images/swap.xml")
    path.unlink()
    machine.disks["vda"], machine.disks["vdb"] = machine.disks["vdb"], machine.disks["vda"]


def test_another_pool_for_a_volume_that_is_there_is_refused(restless: Running) -> None:
    with pytest.raises(OptionError, match=r"disk vdb .* in pool “tiny”.* is in pool “default”"):
        execute(restless, storage_map=StorageMap(disks={"vdb": "tiny"}))


def test_pool_that_fills_up_is_named_and_what_arrived_is_kept(
    the_lab: Lab, restless: Running
) -> None:
    """The pool holds 64 MiB; the disk grows to more while it is replicated again and again."""
    machine = running.make(the_lab.source, "greedy", {"vda": "256M"})
    machine.io("vda", "write -P 3 0 8M")
    to_tiny = StorageMap(default="tiny")
    execute(machine, storage_map=to_tiny)
    machine.io("vda", "write -P 4 10M 100M")
    with pytest.raises(CapacityError, match="storage pool tiny is full"):
        execute(machine, storage_map=to_tiny)
    machine.io("vda", "discard 40M 70M")
    report = execute(machine, storage_map=to_tiny)
    assert report.sent < 32 * MiB
    (kept,) = report.plan.keep
    path = guests.inside(
        namespaces.plan_of(the_lab.destination), f"/var/lib/libvirt/tiny/{kept.volume.name}"
    )
    running.assert_same(machine, path, "vda")
