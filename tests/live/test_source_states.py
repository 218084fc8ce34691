# SPDX-License-Identifier: Apache-2.0
"""States of a machine that its disks do not show, on a real libvirt; and a libvirt that speaks
another language."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lab
from lab import daemons, guests, namespaces, site
from lab.commands import call
from lab.records import Lab, LabHost
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind
from tradewind.errors import BadInputError, BusyError
from tradewind.host.domain import backup
from tradewind.model.machine import Disk
from tradewind.model.migrate import Go, MigrateRequest
from tradewind.model.run import Run, new_run_id
from tradewind.model.storage import Checkpoint, ExtentKind
from tradewind.sources.libvirt import state, tracking
from tradewind.sources.libvirt.source import LibvirtSource

pytestmark = [pytest.mark.live, pytest.mark.slow]

DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/var/lib/libvirt/images/{file}'/><target dev='{target}' bus='virtio'/>{more}</disk>"""


@pytest.fixture
def odd(the_lab: Lab) -> Iterator[Running]:
    machine = running.make(the_lab.source, "odd", {"vda": "64M"})
    machine.io("vda", "write -P 1 1M 4M")
    yield machine
    gone = "undefine odd --managed-save --snapshots-metadata --checkpoints-metadata"
    for host in (the_lab.source, the_lab.destination):
        lab.run(host, ["sh", "-c", f"virsh destroy odd; virsh {gone}; rm -f {FOLDER}/odd-*"])


FOLDER = "/var/lib/libvirt/images"


def attach(machine: Running, target: str, how: str, more: str = "") -> None:
    folder = guests.inside(namespaces.plan_of(machine.host), FOLDER)
    running.make_image(folder / f"odd-{target}.qcow2", "qcow2", "32M")
    file = folder / f"odd-{target}.xml"
    file.write_text(DISK.format(file=f"odd-{target}.qcow2", target=target, more=more))
    machine.virsh("attach-device", machine.name, f"{FOLDER}/{file.name}", how)


def move(machine: Running) -> None:
    from flows.migrate import migrate  # noqa: PLC0415 - Prefect reads its settings at import

    names = {"machine": machine.name, "source": site.SOURCE, "destination": site.DESTINATION}
    deploy_options = {"network_map": {"default": "lan"}}
    order = {"transfer": names, "deploy_options": deploy_options, "go": Go.AT_ONCE}
    migrate(MigrateRequest.model_validate(order))


def said_by_preflight(the_lab: Lab, machine: Running) -> str:
    source = LibvirtSource(site.access(the_lab.source))
    found = source.preflight_source(source.inspect(machine.name)).findings
    return "\n".join(f"{each.severity}: {each.what}" for each in found)


def assert_nothing_was_made(the_lab: Lab, machine: Running) -> None:
    there = hosts.traces(the_lab.destination)
    assert not any(machine.name in name for name in there["volumes"] + there["domains"])


@dataclass(frozen=True)
class Read:
    """What reading a machine came to."""

    notes: tuple[str, ...]
    reasons: dict[str, str]
    checkpoint: Checkpoint | None


def read(the_lab: Lab, machine: Running, since: Checkpoint | None = None) -> Read:
    """Read it as a transfer does, without a worker, and compare each disk to the last byte.

    What is clean since the checkpoint is not compared.
    """
    source = LibvirtSource(site.access(the_lab.source))
    found = source.inspect(machine.name)
    state.require(found)
    run = Run(id=new_run_id(), transfer="cafe0001", begun=datetime.now(UTC))
    with source.snapshot(found, run, since) as lent:
        for disk in found.disks:
            now = content(the_lab, machine, disk)
            with lent.open(disk) as reader:
                for extent in lent.extents(disk):
                    there = bytearray(extent.length)
                    if extent.kind is ExtentKind.DATA:
                        reader.readinto(memoryview(there), extent.start)
                    if extent.kind is not ExtentKind.CLEAN:
                        assert there == now[extent.start : extent.end], extent
        notes = (*state.notes(found.states), *lent.notes)
        reasons = {disk.id: lent.tracking(disk).reason for disk in found.disks}
    return Read(notes, reasons, lent.checkpoint)


def content(the_lab: Lab, machine: Running, disk: Disk) -> bytes:
    """Read a disk past the snapshot: nothing runs in the machine, so it is as it was."""
    if disk.id in machine.disks and "shut off" not in machine.virsh("domstate", machine.name):
        machine.io(disk.id, "flush")
    raw = guests.inside(namespaces.plan_of(the_lab.source), f"{FOLDER}/odd-content")
    image = f"{FOLDER}/{Path(disk.location).name}"
    lab.run(
        the_lab.source, ["qemu-img", "convert", "-U", "-O", "raw", image, f"{FOLDER}/{raw.name}"]
    )
    return raw.read_bytes()


def test_disk_of_the_running_machine_only(the_lab: Lab, odd: Running) -> None:
    odd.virsh("resume", odd.name)
    attach(odd, "vdb", "--live")
    assert "warning: disk vdb" in said_by_preflight(the_lab, odd)
    with pytest.raises(BadInputError, match=r"disk vdb .* attached to the running odd only"):
        move(odd)
    assert_nothing_was_made(the_lab, odd)
    report = read(the_lab, odd)
    assert any("disk vdb" in note for note in report.notes)
    assert set(report.reasons) == {"vda"}


def test_disk_of_the_definition_only(the_lab: Lab, odd: Running) -> None:
    attach(odd, "vdb", "--config")
    for refused in (odd.transfer, lambda: move(odd)):
        with pytest.raises(BadInputError, match=r"disk vdb .* in the definition of odd only"):
            refused()
    assert_nothing_was_made(the_lab, odd)


def test_saved_machine_is_neither_read_nor_moved(the_lab: Lab, odd: Running) -> None:
    odd.virsh("managedsave", odd.name)
    assert "shut off" in odd.virsh("domstate", odd.name)
    assert "error: odd is not shut off but saved" in said_by_preflight(the_lab, odd)
    for refused in (odd.transfer, lambda: move(odd)):
        with pytest.raises(BadInputError, match="managed save"):
            refused()
    assert_nothing_was_made(the_lab, odd)
    odd.virsh("managedsave-remove", odd.name)
    # Libvirt says of it from then on that it was saved, until it has been shut down.
    assert "odd was saved and not shut down" in read(the_lab, odd).notes[0]
    with pytest.raises(BadInputError, match="was saved and not shut down"):
        move(odd)
    odd.start()
    odd.stop()
    assert read(the_lab, odd).notes == ()


def test_paused_machine_is_replicated_and_not_moved(the_lab: Lab, odd: Running) -> None:
    with pytest.raises(BadInputError, match="odd is paused"):
        move(odd)
    assert_nothing_was_made(the_lab, odd)
    assert any("odd is paused" in note for note in read(the_lab, odd).notes)


def test_transient_machine_is_replicated_and_not_moved(the_lab: Lab, odd: Running) -> None:
    odd.virsh("resume", odd.name)
    odd.virsh("undefine", odd.name)
    with pytest.raises(BadInputError, match="odd is transient"):
        move(odd)
    assert_nothing_was_made(the_lab, odd)
    assert any("odd is transient" in note for note in read(the_lab, odd).notes)


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_machine_with_snapshots_is_read_as_it_is_now(the_lab: Lab, odd: Running, kind: str) -> None:
    words = ["snapshot-create-as", odd.name, "before"]
    odd.virsh(*words, *(["--disk-only"] if kind == "external" else []))
    if kind == "external":
        odd.disks["vda"] = "odd-vda.before"
    odd.io("vda", "write -P 2 2M 1M")
    first = read(the_lab, odd)
    odd.io("vda", "write -P 3 8M 64k")
    second = read(the_lab, odd, first.checkpoint)
    for report in (first, second):
        print(report)
        assert any(f"odd has 1 {kind} snapshot" in note for note in report.notes)


def test_block_job_under_way_is_waited_for(the_lab: Lab, odd: Running) -> None:
    copying = ("--dest", f"{FOLDER}/odd-copy.qcow2", "--transient-job")
    odd.virsh("blockcopy", odd.name, "vda", *copying)
    with pytest.raises(BusyError, match="a block job works on disk vda"):
        odd.transfer()
    assert_nothing_was_made(the_lab, odd)
    odd.virsh("blockjob", odd.name, "vda", "--abort")
    assert set(read(the_lab, odd).reasons) == {"vda"}


@pytest.mark.parametrize("power", ["running", "shut off"])
def test_read_only_disk_is_read_in_full(the_lab: Lab, odd: Running, power: str) -> None:
    odd.stop()
    attach(odd, "vdb", "--config", "<readonly/>")
    if power == "running":
        odd.start()
    first = read(the_lab, odd)
    second = read(the_lab, odd, first.checkpoint)
    for report in (first, second):
        assert report.reasons["vdb"] == tracking.READ_ONLY
        assert any("disk vdb is read-only" in note for note in report.notes)
    assert second.reasons["vda"] == ""


def test_machine_that_is_changed_while_its_worker_boots_is_not_read(
    tradewind: Tradewind, the_lab: Lab, odd: Running
) -> None:
    """Saved in these seconds, it would have been read as if it were shut off."""
    with tradewind.start(*tradewind.transfer_words(odd.name)) as process:
        while "odd" not in "".join(hosts.traces(the_lab.destination)["volumes"]):
            assert process.poll() is None
            time.sleep(0.2)
        odd.virsh("managedsave", odd.name)
        _, said = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "managed save" in said


@contextmanager
def speaking(host: LabHost, language: str) -> Iterator[None]:
    """Let the host's libvirtd speak another language; machines go on running meanwhile."""
    plan = namespaces.plan_of(host)
    (libvirtd,) = (daemon for daemon in daemons.DAEMONS if daemon.name == "libvirtd")
    words = ("env", "LC_ALL=C.UTF-8", f"LANGUAGE={language}", *libvirtd.argv)

    def end() -> None:
        pid = namespaces.daemon(plan, "libvirtd", "libvirtd")
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        while namespaces.daemon(plan, "libvirtd", "libvirtd"):
            time.sleep(0.1)

    end()
    call(namespaces.enter(plan, words))
    try:
        yield
    finally:
        end()
        daemons.start(plan)


@pytest.mark.parametrize("language", ["zh_CN", "uk"])
def test_libvirtd_in_another_language_leads_to_a_full_look(
    the_lab: Lab, odd: Running, language: str
) -> None:
    first = read(the_lab, odd)
    odd.io("vda", "flush")
    odd.crash()
    odd.start()
    with speaking(the_lab.source, language):
        # Its own client has no such language, so what is not ASCII comes from the daemon. Of a
        # domain that it does not find virsh keeps the daemon's words to itself.
        refused = lab.run(
            the_lab.source, ["sh", "-c", "virsh net-info nowhere 2>&1 || true"]
        ).stdout
        assert not refused.isascii()
        second = read(the_lab, odd, first.checkpoint)
        assert second.reasons == {"vda": backup.BROKEN}
        odd.io("vda", "write -P 9 9M 64k")
        assert read(the_lab, odd, second.checkpoint).reasons == {"vda": ""}
        # One that lost its bitmap is removed all the same.
        source = LibvirtSource(site.access(the_lab.source))
        source.retire_checkpoints(source.inspect(odd.name), "cafe0001", None)
        assert odd.checkpoints() == []
