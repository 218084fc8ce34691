# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, and backups that give up the tracking of a disk instead of failing."""

from datetime import UTC, datetime

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.domainxml.backup import BackupDisk
from tradewind.domainxml.checkpoint import tracked_disks
from tradewind.host import backup, checkpoints, domains, leftovers
from tradewind.model.leftover import LeftoverKind
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint, TrackedDisk

DISK = """<disk type="file" device="disk"><source file="/pools/images/{0}.qcow2"/>
<target dev="{0}" bus="virtio"/></disk>"""
DOMAIN = f"""<domain type="test"><name>db</name><memory>1024</memory><os><type>hvm</type></os>
<devices>{DISK.format("vda")}{DISK.format("vdb")}</devices></domain>"""
RUN = Run(id="0123456789ab", transfer="cafe0001", begun=datetime.now(UTC))
OTHER = RUN.model_copy(update={"transfer": "beef0002"})
NAME = "tradewind-0123456789ab-cafe0001"


@pytest.fixture
def domain(host: FakeConnection) -> FakeDomain:
    domains.start_transient(host, DOMAIN)
    return host.listAllDomains()[0]


def job(*, since: str | None = None, name: str = NAME) -> backup.Job:
    disks = [
        BackupDisk(target=target, scratch=f"/s/{target}", since=since, tracked=True)
        for target in ("vda", "vdb")
    ]
    return backup.Job("/var/tmp/tradewind-0123456789ab/nbd", disks, checkpoint=name)


def test_checkpoint_is_made_with_the_backup(domain: FakeDomain) -> None:
    begun = backup.begin(domain, job())
    assert [disk.tracked for disk in begun.disks] == [True, True]
    assert checkpoints.names(domain) == (NAME,)
    assert [each.disk_id for each in checkpoints.read(domain, NAME).disks] == ["vda", "vdb"]


@pytest.mark.parametrize(
    ("code", "sentence", "disk", "why"),
    [
        (
            libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
            "checkpoint inconsistent: missing or broken bitmap 'old' for disk 'vda'",
            "vda",
            backup.BROKEN,
        ),
        (
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            "unsupported configuration: checkpoint for disk vdb unsupported for storage type raw",
            "vdb",
            backup.NO_BITMAPS,
        ),
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            "Can't make bitmap 'c' persistent in 'libvirt-2-format': Cannot store dirty bitmaps in"
            " qcow2 v2 files",
            "vda",
            backup.OLD_IMAGE,
        ),
    ],
    ids=["broken", "raw", "qcow2 version 2"],
)
def test_disk_that_libvirt_refuses_is_read_in_full_beside_the_others(
    host: FakeConnection, domain: FakeDomain, code: int, sentence: str, disk: str, why: str
) -> None:
    """The sentences are libvirt 9.0's."""
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    marks = {"vda": f'name="{disk}" backup="yes" type="file" backupmode="incremental"'}
    pattern = marks["vda"] if why is backup.BROKEN else f'<disk name="{disk}" checkpoint="bitmap"'
    host.host.refusals.append((pattern, libvirt_error(code, sentence)))
    begun = {each.target: each for each in backup.begin(domain, job(since="old")).disks}
    assert (begun[disk].since, begun[disk].why) == (None, why)
    assert begun[disk].tracked is (why is backup.BROKEN)
    (other,) = (each for each in begun.values() if each.target != disk)
    assert (other.since, other.tracked) == ("old", True)


def test_any_other_refusal_is_an_error(host: FakeConnection, domain: FakeDomain) -> None:
    host.host.refusals.append(("incremental", libvirt_error(1, "the disk is on fire")))
    with pytest.raises(libvirt.libvirtError, match="on fire"):
        backup.begin(domain, job(since="old"))


def test_ours_are_told_from_another_transfers_and_from_other_programs(domain: FakeDomain) -> None:
    for name in (checkpoints.name_of(RUN), checkpoints.name_of(OTHER), "nightly"):
        checkpoints.redefine(domain, Checkpoint(name=name, machine_id="", created=1))
    assert checkpoints.made_by(domain, RUN.transfer) == (NAME,)
    assert set(checkpoints.names(domain)) - {NAME, checkpoints.name_of(OTHER)} == {"nightly"}


def test_what_libvirt_forgot_is_defined_again(domain: FakeDomain) -> None:
    disks = (TrackedDisk(disk_id="vdb", capacity=1),)
    known = Checkpoint(name=NAME, machine_id="m", created=1700000000, disks=disks)
    checkpoints.redefine(domain, known)
    checkpoints.redefine(domain, known)
    again = checkpoints.read(domain, NAME)
    assert (again.created, [each.disk_id for each in again.disks]) == (1700000000, ["vdb"])


def test_discarding_is_done_once(domain: FakeDomain) -> None:
    checkpoints.redefine(domain, Checkpoint(name=NAME, machine_id="", created=1))
    checkpoints.discard(domain, NAME)
    checkpoints.discard(domain, NAME)
    assert checkpoints.names(domain) == ()


def test_bitmap_that_a_crash_took_along_does_not_keep_the_others(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence is libvirt 9.0's, which then removes no bitmap at all."""
    disks = tuple(TrackedDisk(disk_id=target, capacity=1) for target in ("vda", "vdb"))
    checkpoints.redefine(domain, Checkpoint(name=NAME, machine_id="", created=1, disks=disks))
    removed: list[tuple[str, ...]] = []
    real = libvirt.virDomainCheckpoint.delete

    def delete(checkpoint: libvirt.virDomainCheckpoint, flags: int = 0) -> int:
        covered = tracked_disks(checkpoint.getXMLDesc())
        if not flags and "vda" in covered:
            sentence = "bitmap 'x' not found in backing chain of 'vda'"
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, sentence)
        if not flags:
            removed.append(covered)
        return int(real(checkpoint, 0))

    monkeypatch.setattr(libvirt.virDomainCheckpoint, "delete", delete)
    checkpoints.discard(domain, NAME)
    assert removed == [("vdb",)]
    assert checkpoints.names(domain) == ()


def test_checkpoint_of_a_run_is_found_and_removed(host: FakeConnection, domain: FakeDomain) -> None:
    for name in (NAME, "nightly"):
        checkpoints.redefine(domain, Checkpoint(name=name, machine_id="", created=1))
    (found,) = leftovers.find(host)
    assert (found.kind, found.run, found.place) == (LeftoverKind.CHECKPOINT, RUN.id, "db")
    assert str(found) == f"checkpoint {NAME} of db"
    leftovers.remove(host, found)
    assert checkpoints.names(domain) == ("nightly",)
