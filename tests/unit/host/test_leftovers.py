# SPDX-License-Identifier: Apache-2.0
"""What runs leave on a host, and what is none of our business."""

from collections.abc import Sequence

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.domainxml import labels
from tradewind.domainxml.backup import BackupDisk
from tradewind.host import leftovers, storage
from tradewind.host.domain import backup, domains
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.run import Label, LabelState, Purpose
from tradewind.model.storage import Volume
from tradewind.ports import Completed
from tradewind.units import GiB

RUN, OTHER = "0123456789ab", "ba9876543210"
DOMAIN = """<domain type="test"><name>{name}</name><memory>1024</memory>
<os><type>hvm</type></os><devices>{disk}</devices></domain>"""
DISK = (
    '<disk type="file" device="disk"><source file="{path}"/><target dev="vda" bus="virtio"/></disk>'
)


def put_volume(host: FakeConnection, name: str, pool: str = "fast") -> None:
    storage.create_volume(host, Volume(pool=pool, name=name, capacity=GiB, format="qcow2"))


def put_domain(
    host: FakeConnection, name: str, label: Label | None = None, volume: str = ""
) -> None:
    disk = DISK.format(path=f"/pools/fast/{volume}") if volume else ""
    domains.define(host, DOMAIN.format(name=name, disk=disk))
    domains.start(host, name)
    if label:
        domains.write_label(host, name, label)


def names(found: Sequence[Leftover]) -> list[tuple[str, str, str]]:
    return [(item.kind.value, item.name, item.run) for item in found]


@pytest.mark.parametrize(
    ("name", "run"),
    [
        (f"tradewind-{RUN}-transfer.qcow2", RUN),
        (f"/var/tmp/tradewind-{RUN}/nbd.sock", RUN),
        (f"tradewind-{RUN}", RUN),
        (f"/tmp/pulse-tradewind-{RUN}/nbd.sock", RUN),
        (f"my-tradewind-{RUN}-x", None),
        ("tradewind-worker.qcow2", None),
        (f"tradewind-{RUN}c-x", None),
        (f"tradewind-{RUN.upper()}-x", None),
        (f"tradewind-{RUN}.qcow2", None),
        ("web01-cafe0001-sda.qcow2", None),
    ],
)
def test_names_of_ours(name: str, run: str | None) -> None:
    assert leftovers.run_of(name) == run


def test_everything_temporary_is_found_jobs_first(host: FakeConnection, label: Label) -> None:
    put_domain(host, "source01")
    job = backup.BackupRequest(
        f"/var/tmp/tradewind-{RUN}/nbd", [BackupDisk(target="vda", scratch="/s")]
    )
    backup.begin(host.listAllDomains()[0], job)
    worker = f"tradewind-{RUN}-transfer"
    put_domain(host, worker, label, volume=f"{worker}.qcow2")
    put_volume(host, f"{worker}.qcow2")
    put_volume(host, f"{worker}-seed.iso", "images")
    put_volume(host, "tradewind-worker.qcow2", "images")
    put_volume(host, "source01-cafe0001-sda.qcow2")
    found = names(leftovers.find(host))
    assert found[:2] == [("backup job", "source01", RUN), ("domain", worker, RUN)]
    assert sorted(found[2:]) == [
        ("volume", f"{worker}-seed.iso", RUN),
        ("volume", f"{worker}.qcow2", RUN),
    ]


def test_finished_machine_keeps_all_that_its_run_made(host: FakeConnection, label: Label) -> None:
    """A disk may be hidden below a snapshot that lies where libvirt does not look."""
    done = label.model_copy(update={"state": LabelState.FINISHED, "purpose": Purpose.MACHINE})
    used, hidden = f"tradewind-{RUN}-web01-sda.qcow2", f"tradewind-{RUN}-web01-sdb.qcow2"
    other = f"tradewind-{OTHER}-web01-sda.qcow2"
    for name in (used, hidden, other):
        put_volume(host, name)
    put_domain(host, "web01", done, volume=used)
    assert names(leftovers.find(host)) == [("volume", other, OTHER)]


@pytest.mark.parametrize("running", [True, False])
def test_disk_below_a_snapshot_is_kept(host: FakeConnection, label: Label, running: bool) -> None:
    """The machine's own definition names only the top of the chain; its label is gone."""
    kept = f"tradewind-{RUN}-web01-sda.qcow2"
    put_volume(host, kept)
    for below, above in ((kept, "one.snap"), ("one.snap", "two.snap")):
        top = Volume(pool="fast", name=above, capacity=GiB, format="qcow2")
        storage.create_overlay(host, top, storage.require_volume(host, "fast", below))
    put_domain(host, "web01", volume="two.snap")
    if not running:
        domains.stop(host, "web01")
    assert leftovers.find(host) == ()


def test_volume_below_somebodys_volume_is_kept(host: FakeConnection) -> None:
    kept = f"tradewind-{RUN}-web01-sda.qcow2"
    put_volume(host, kept)
    top = Volume(pool="images", name="copy.qcow2", capacity=GiB, format="qcow2")
    storage.create_overlay(host, top, storage.require_volume(host, "fast", kept))
    assert leftovers.find(host) == ()


def test_label_that_cannot_be_read_is_somebodys(host: FakeConnection, label: Label) -> None:
    kept = f"tradewind-{RUN}-web01-sda.qcow2"
    put_volume(host, kept)
    text = labels.to_text(label).replace("<label ", '<label new_field="1" ')
    put_domain(host, "newer", volume=kept)
    domains.require_domain(host, "newer").setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, labels.PREFIX, labels.NAMESPACE, 0
    )
    assert leftovers.find(host) == ()
    (told,) = domains.unreadable_labels(host)
    assert "machine newer on" in told
    assert "new_field" in told


def test_volume_that_somebodys_own_machine_uses_is_kept(host: FakeConnection) -> None:
    kept = f"tradewind-{RUN}-web01-sda.qcow2"
    put_volume(host, kept)
    put_domain(host, "redefined-by-hand", volume=kept)
    assert leftovers.find(host) == ()


def test_foreign_backup_job_is_not_ours(host: FakeConnection) -> None:
    put_domain(host, "source01")
    disks = [BackupDisk(target="vda", scratch="/s")]
    backup.begin(host.listAllDomains()[0], backup.BackupRequest("/run/other", disks))
    assert leftovers.find(host) == ()


def test_one_run_is_removed_and_the_others_stay(host: FakeConnection, label: Label) -> None:
    for run in (RUN, OTHER):
        name = f"tradewind-{run}-web01"
        put_volume(host, f"{name}-sda.qcow2")
        put_domain(host, name, label.model_copy(update={"run": run}), volume=f"{name}-sda.qcow2")
        put_domain(host, f"source-{run}")
        domain = domains.require_domain(host, f"source-{run}")
        backup.begin(domain, backup.BackupRequest(f"/var/tmp/tradewind-{run}/nbd", []))
    leftovers.remove_run(host, RUN)
    assert names(leftovers.find(host)) == [
        ("backup job", f"source-{OTHER}", OTHER),
        ("domain", f"tradewind-{OTHER}-web01", OTHER),
        ("volume", f"tradewind-{OTHER}-web01-sda.qcow2", OTHER),
    ]
    assert domains.find_domain(host, f"source-{RUN}") is not None


@pytest.mark.parametrize(
    "leftover",
    [
        Leftover(kind=LeftoverKind.BACKUP_JOB, run=RUN, name="gone"),
        Leftover(kind=LeftoverKind.DOMAIN, run=RUN, name="gone"),
        Leftover(kind=LeftoverKind.VOLUME, run=RUN, name="gone", place="fast"),
    ],
)
def test_removing_what_is_gone_changes_nothing(host: FakeConnection, leftover: Leftover) -> None:
    put_volume(host, f"tradewind-{RUN}-x")
    leftovers.remove(host, leftover)
    assert len(leftovers.find(host)) == 1


class Listing:
    """A Remote that lists one folder."""

    def __init__(self, *entries: str) -> None:
        self.entries = entries
        self.ran: list[list[str]] = []

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        self.ran.append(list(argv))
        return Completed(tuple(argv), 0, "".join(f"{name}\n" for name in self.entries), "")

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        raise AssertionError(path)


def test_folders_of_ours_are_found_and_removed() -> None:
    remote = Listing("systemd-private-x", f"tradewind-{RUN}", "tradewind-notes")
    found, other = leftovers.find_folders(remote)
    assert (found.kind, found.run, found.name) == (
        LeftoverKind.FOLDER,
        RUN,
        f"/var/tmp/tradewind-{RUN}",
    )
    assert other.name == f"/tmp/tradewind-{RUN}"
    leftovers.remove_folder(remote, found)
    assert remote.ran[-1] == ["rm", "-rf", "--", f"/var/tmp/tradewind-{RUN}"]
    with pytest.raises(KeyError, match="folder"):
        leftovers.remove(None, found)
