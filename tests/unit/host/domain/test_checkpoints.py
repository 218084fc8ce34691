# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, and backups that give up the tracking of a disk instead of failing."""

import gettext
from datetime import UTC, datetime

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.domainxml.backup import BackupDisk
from tradewind.domainxml.checkpoint import tracked_disks
from tradewind.host import leftovers
from tradewind.host.domain import backup, checkpoints, domains
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
LOCALES = "/usr/share/locale"


@pytest.fixture
def domain(host: FakeConnection) -> FakeDomain:
    domains.start_transient(host, DOMAIN)
    return host.listAllDomains()[0]


def job(*, since: str | None = None, name: str = NAME) -> backup.BackupRequest:
    disks = [
        BackupDisk(target=target, scratch=f"/s/{target}", since=since, tracked=True)
        for target in ("vda", "vdb")
    ]
    return backup.BackupRequest("/var/tmp/tradewind-0123456789ab/nbd", disks, checkpoint=name)


def test_checkpoint_is_made_with_the_backup(domain: FakeDomain) -> None:
    begun = backup.begin(domain, job())
    assert [disk.tracked for disk in begun.disks] == [True, True]
    assert checkpoints.names(domain) == (NAME,)
    assert [each.disk_id for each in checkpoints.read(domain, NAME).disks] == ["vda", "vdb"]


def refuse_when(host: FakeConnection, pattern: str, code: int, sentence: str = "?") -> None:
    host.host.refusals.append((pattern, libvirt_error(code, sentence)))


def with_mode(target: str, mode: str) -> str:
    return f'name="{target}" backup="yes" type="file" backupmode="{mode}"'


@pytest.mark.parametrize(
    ("code", "pattern", "disk", "why"),
    [
        (
            libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
            with_mode("vda", "incremental"),
            "vda",
            backup.BROKEN,
        ),
        (
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            '<disk name="vdb" checkpoint="bitmap"',
            "vdb",
            backup.REFUSED,
        ),
        # Of an image of qcow2 version 2 it is QEMU that refuses; that has no code of its own.
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            '<disk name="vda" checkpoint="bitmap"',
            "vda",
            backup.REFUSED,
        ),
    ],
    ids=["broken", "raw", "qcow2 version 2"],
)
def test_disk_that_libvirt_refuses_is_read_in_full_beside_the_others(
    host: FakeConnection, domain: FakeDomain, code: int, pattern: str, disk: str, why: str
) -> None:
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    refuse_when(host, pattern, code)
    begun = {each.target: each for each in backup.begin(domain, job(since="old")).disks}
    assert (begun[disk].since, begun[disk].why) == (None, why)
    assert begun[disk].tracked is (why is backup.BROKEN)
    (other,) = (each for each in begun.values() if each.target != disk)
    assert (other.since, other.tracked) == ("old", True)


def test_several_broken_bitmaps_are_all_given_up(host: FakeConnection, domain: FakeDomain) -> None:
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    for target in ("vda", "vdb"):
        code = libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT
        refuse_when(host, with_mode(target, "incremental"), code)
    begun = backup.begin(domain, job(since="old")).disks
    assert [(each.since, each.tracked, each.why) for each in begun] == [
        (None, True, backup.BROKEN)
    ] * 2


def test_broken_bitmap_and_an_image_that_keeps_none(
    host: FakeConnection, domain: FakeDomain
) -> None:
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    refuse_when(host, with_mode("vda", "incremental"), libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT)
    refuse_when(host, '<disk name="vdb" checkpoint="bitmap"', libvirt.VIR_ERR_INTERNAL_ERROR)
    first, second = backup.begin(domain, job(since="old")).disks
    assert (first.since, first.tracked) == (None, True)
    assert (second.since, second.tracked, second.why) == (None, False, backup.REFUSED)


def test_last_checkpoint_is_used_where_no_new_one_can_be_made(
    host: FakeConnection, domain: FakeDomain
) -> None:
    """Libvirt makes no checkpoint of a machine that has snapshots."""
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    refuse_when(host, 'checkpoint="bitmap"', libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
    begun = backup.begin(domain, job(since="old")).disks
    assert [(each.since, each.tracked) for each in begun] == [("old", False)] * 2
    assert checkpoints.names(domain) == ("old",)


@pytest.mark.parametrize("language", ["zh_CN", "ja", "ko", "ru", "uk"])
def test_daemon_of_any_language_is_understood(
    host: FakeConnection, domain: FakeDomain, language: str
) -> None:
    """The sentences are those of the package libvirt-l10n."""
    said = gettext.translation("libvirt", LOCALES, [language]).gettext
    broken = said("missing or broken bitmap '%s' for disk '%s'")
    absent = said("bitmap '%s' not found in backing chain of '%s'")
    assert (broken.isascii(), absent.isascii()) == (False, False)
    checkpoints.redefine(domain, Checkpoint(name="old", machine_id="", created=1))
    refuse_when(
        host,
        with_mode("vda", "incremental"),
        libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
        broken.replace("%s", "vda"),
    )
    first, second = backup.begin(domain, job(since="old")).disks
    assert (first.why, second.since) == (backup.BROKEN, "old")


def test_any_other_refusal_is_an_error(host: FakeConnection, domain: FakeDomain) -> None:
    refuse_when(host, "backup", libvirt.VIR_ERR_INTERNAL_ERROR, "the disk is on fire")
    with pytest.raises(libvirt.libvirtError, match="on fire"):
        backup.begin(domain, job(since="old"))


@pytest.mark.parametrize(
    "code", [libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_DOMAIN]
)
def test_what_is_not_about_bitmaps_gives_none_up(
    host: FakeConnection, domain: FakeDomain, code: int
) -> None:
    refuse_when(host, "incremental", code)
    with pytest.raises(libvirt.libvirtError):
        backup.begin(domain, job(since="old"))
    assert "begin backup" not in host.host.calls


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
    """Libvirt 9.0 then removes no bitmap at all."""
    disks = tuple(TrackedDisk(disk_id=target, capacity=1) for target in ("vda", "vdb"))
    checkpoints.redefine(domain, Checkpoint(name=NAME, machine_id="", created=1, disks=disks))
    removed: list[tuple[str, ...]] = []
    real = libvirt.virDomainCheckpoint.delete

    def delete(checkpoint: libvirt.virDomainCheckpoint, flags: int = 0) -> int:
        covered = tracked_disks(checkpoint.getXMLDesc())
        if not flags and "vda" in covered:
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "в цепочке «vda» не найдена")
        if not flags:
            removed.append(covered)
        return int(real(checkpoint, 0))

    monkeypatch.setattr(libvirt.virDomainCheckpoint, "delete", delete)
    checkpoints.discard(domain, NAME)
    assert removed == [("vdb",)]
    assert checkpoints.names(domain) == ()


def test_checkpoint_that_is_busy_is_not_forgotten(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgotten, its bitmaps would stay in the images for ever."""
    disks = (TrackedDisk(disk_id="vda", capacity=1),)
    checkpoints.redefine(domain, Checkpoint(name=NAME, machine_id="", created=1, disks=disks))

    def delete(_checkpoint: libvirt.virDomainCheckpoint, _flags: int = 0) -> int:
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT)

    monkeypatch.setattr(libvirt.virDomainCheckpoint, "delete", delete)
    with pytest.raises(libvirt.libvirtError):
        checkpoints.discard(domain, NAME)
    assert checkpoints.names(domain) == (NAME,)


def test_checkpoint_of_a_run_is_found_and_removed(host: FakeConnection, domain: FakeDomain) -> None:
    for name in (NAME, "nightly"):
        checkpoints.redefine(domain, Checkpoint(name=name, machine_id="", created=1))
    (found,) = leftovers.find(host)
    assert (found.kind, found.run, found.place) == (LeftoverKind.CHECKPOINT, RUN.id, "db")
    assert str(found) == f"checkpoint {NAME} of db"
    leftovers.remove(host, found)
    assert checkpoints.names(domain) == ("nightly",)
