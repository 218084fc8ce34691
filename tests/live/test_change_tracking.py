# SPDX-License-Identifier: Apache-2.0
"""Executions that read only what changed, and the ones that cannot, with their reasons."""

from pathlib import Path

import pytest

from lab import site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind
from tradewind.host.domain import backup
from tradewind.model.report import TransferReport
from tradewind.sources.libvirt import tracking
from tradewind.units import KiB, MiB

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def busy(the_lab: Lab) -> Running:
    """A machine with a first disk that stays as it is, and a second one that changes."""
    machine = running.make(the_lab.source, "busy", {"vda": "64M", "vdb": "512M"})
    machine.io("vda", "write -P 11 1M 8M")
    machine.io("vdb", "write -P 22 0 16M", "write -P 23 100M 16M", "write -P 24 400M 1M")
    return machine


def replica(lab: Lab, report: TransferReport, target: str) -> Path:
    plan = report.plan
    (found,) = (
        each.volume.name
        for each in (*plan.create, *plan.keep, *plan.grow)
        if each.disk_id == target
    )
    return hosts.volume_file(lab.destination, found)


def assert_equal(the_lab: Lab, machine: Running, report: TransferReport) -> None:
    for target in machine.disks:
        running.assert_same(machine, replica(the_lab, report, target), target)


def reasons(report: TransferReport) -> dict[str, str]:
    return {each.disk_id: each.reason for each in report.tracking}


def sent(report: TransferReport) -> dict[str, int]:
    return {disk.disk_id: disk.sent for disk in report.disks}


def test_first_execution_is_full_and_leaves_a_checkpoint(the_lab: Lab, busy: Running) -> None:
    report = busy.transfer()
    assert report.full
    assert set(reasons(report).values()) == {tracking.NO_CHECKPOINT}
    assert_equal(the_lab, busy, report)
    assert busy.checkpoints() == [f"tradewind-{report.run}-{report.transfer}"]


def test_what_was_written_zeroed_and_punched_arrives_and_nothing_else_is_read(
    the_lab: Lab, busy: Running
) -> None:
    """The first disk is as it was; in the second are new bytes, zeroes over old ones, and holes."""
    busy.io("vdb", "write -P 33 200M 256k", "write -P 34 110M 64k")
    busy.io("vdb", "write -P 0 1M 1M", "write -z 3M 1M", "discard 5M 1M", "write -z -u 100M 2M")
    report = busy.transfer()
    first, second = report.disks
    assert (first.read, first.sent, first.zeroed) == (0, 0, 0)
    assert second.sent == 320 * KiB
    assert second.zeroed == 5 * MiB
    assert second.verified == second.sent + second.zeroed
    assert_equal(the_lab, busy, report)
    assert busy.checkpoints() == [f"tradewind-{report.run}-{report.transfer}"]


@pytest.mark.slow
def test_nothing_changed_costs_nothing(busy: Running) -> None:
    report = busy.transfer()
    assert [(disk.read, disk.sent, disk.same) for disk in report.disks] == [(0, 0, 0)] * 2


@pytest.mark.slow
def test_checkpoint_that_libvirt_forgot_is_defined_again(the_lab: Lab, busy: Running) -> None:
    (name,) = busy.checkpoints()
    busy.virsh("checkpoint-delete", busy.name, name, "--metadata")
    busy.io("vdb", "write -P 44 300M 128k")
    report = busy.transfer()
    assert sent(report) == {"vda": 0, "vdb": 128 * KiB}
    assert_equal(the_lab, busy, report)


@pytest.mark.slow
def test_other_programs_checkpoints_do_not_disturb(the_lab: Lab, busy: Running) -> None:
    busy.virsh("checkpoint-create-as", busy.name, "nightly")
    busy.io("vdb", "write -P 55 310M 64k")
    first = busy.transfer()
    busy.virsh("checkpoint-delete", busy.name, "nightly")
    busy.io("vdb", "write -P 56 320M 64k")
    second = busy.transfer()
    assert sent(first)["vdb"] == sent(second)["vdb"] == 64 * KiB
    assert_equal(the_lab, busy, second)


@pytest.mark.slow
def test_shut_off_machine_is_read_by_what_changed_too(the_lab: Lab, busy: Running) -> None:
    """Its last writes before the shutdown are found; after its next start tracking goes on."""
    busy.io("vda", "write -P 66 2M 64k")
    busy.io("vdb", "write -P 67 330M 192k", "flush")
    busy.stop()
    off = busy.transfer()
    assert sent(off) == {"vda": 64 * KiB, "vdb": 192 * KiB}
    for target in busy.disks:
        hosts.assert_same_contents(busy.image(target), replica(the_lab, off, target))
    assert busy.transfer().sent == 0
    busy.start()
    busy.io("vdb", "write -P 68 340M 64k")
    on = busy.transfer()
    assert sent(on) == {"vda": 0, "vdb": 64 * KiB}
    assert_equal(the_lab, busy, on)
    assert len(busy.checkpoints()) == 1


@pytest.mark.slow
def test_crash_of_qemu_leads_to_a_full_look(the_lab: Lab, busy: Running) -> None:
    busy.io("vdb", "write -P 77 350M 128k", "flush")
    busy.crash()
    busy.start()
    report = busy.transfer()
    assert set(reasons(report).values()) == {backup.BROKEN}
    assert sent(report) == {"vda": 0, "vdb": 128 * KiB}
    assert_equal(the_lab, busy, report)
    busy.io("vdb", "write -P 78 360M 64k")
    again = busy.transfer()
    assert set(reasons(again).values()) == {""}
    assert sent(again) == {"vda": 0, "vdb": 64 * KiB}
    assert len(busy.checkpoints()) == 1


@pytest.mark.slow
def test_checkpoint_that_is_gone_leads_to_a_full_look(the_lab: Lab, busy: Running) -> None:
    (name,) = busy.checkpoints()
    busy.virsh("checkpoint-delete", busy.name, name)
    busy.io("vdb", "write -P 79 370M 64k")
    report = busy.transfer()
    assert set(reasons(report).values()) == {backup.BROKEN}
    assert sent(report)["vdb"] == 64 * KiB
    assert_equal(the_lab, busy, report)


@pytest.mark.slow
def test_grown_disk_and_new_disk_are_looked_at_in_full_and_the_rest_is_not(
    the_lab: Lab, busy: Running
) -> None:
    busy.virsh("blockresize", busy.name, "vdb", "600M")
    busy.io("vdb", "write -P 81 590M 64k")
    busy.plug("vdc", "48M")
    busy.io("vdc", "write -P 82 7M 1M")
    report = busy.transfer()
    assert reasons(report) == {
        "vda": "",
        "vdb": "it was resized from 512.0 MiB to 600.0 MiB",
        "vdc": tracking.NOT_COVERED,
    }
    assert sent(report) == {"vda": 0, "vdb": 64 * KiB, "vdc": 1 * MiB}
    assert_equal(the_lab, busy, report)


@pytest.mark.slow
def test_volume_removed_behind_our_back_is_made_again(the_lab: Lab, busy: Running) -> None:
    before = busy.transfer()
    replica(the_lab, before, "vda").unlink()
    busy.io("vdb", "write -P 91 380M 64k")
    report = busy.transfer()
    assert [each.disk_id for each in report.plan.create] == ["vda"]
    assert sent(report) == {"vda": 8 * MiB, "vdb": 64 * KiB, "vdc": 0}
    assert_equal(the_lab, busy, report)


@pytest.mark.slow
def test_disk_that_is_gone_takes_its_volume_along(the_lab: Lab, busy: Running) -> None:
    there = replica(the_lab, busy.transfer(), "vdc")
    busy.stop()
    busy.unplug("vdc")
    busy.start()
    report = busy.transfer()
    assert [each.disk_id for each in report.plan.delete] == ["vdc"]
    assert not there.exists()
    assert set(reasons(report).values()) == {""}
    assert_equal(the_lab, busy, report)


@pytest.mark.slow
def test_changes_are_not_tracked_where_that_is_switched_off(the_lab: Lab, busy: Running) -> None:
    report = busy.transfer(track_changes=False)
    assert set(reasons(report).values()) == {tracking.SWITCHED_OFF}
    assert busy.checkpoints() == []
    assert report.sent == 0


@pytest.mark.slow
def test_raw_disks_are_compared(the_lab: Lab) -> None:
    machine = running.make(the_lab.source, "plain", {"vda": "64M"}, form="raw")
    machine.io("vda", "write -P 1 1M 4M")
    machine.transfer()
    machine.io("vda", "write -P 2 2M 64k")
    report = machine.transfer()
    assert reasons(report) == {"vda": f"{backup.NO_BITMAPS} (raw)"}
    assert sent(report) == {"vda": 64 * KiB}
    assert machine.checkpoints() == []
    machine.stop()
    there = hosts.volume_file(the_lab.destination, report.plan.keep[0].volume.name)
    hosts.assert_same_contents(machine.image("vda"), there)


@pytest.mark.slow
def test_killed_execution_leaves_no_checkpoint_behind(
    tradewind: Tradewind, the_lab: Lab, busy: Running
) -> None:
    """SIGKILL in the middle of an incremental; sweep; the next one sends what differs."""
    busy.transfer()
    before = busy.checkpoints()
    busy.io("vdb", "write -P 99 120M 48M")
    tradewind.kill_while_streaming(busy.name)
    assert len(busy.checkpoints()) == 2
    swept = tradewind.run("sweep", site.SOURCE, site.DESTINATION)
    assert swept.status == 0, swept.stderr[-2000:]
    assert busy.checkpoints() == before
    report = busy.transfer()
    assert set(reasons(report).values()) == {""}
    assert sent(report)["vdb"] <= 48 * MiB
    assert_equal(the_lab, busy, report)
