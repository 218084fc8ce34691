# SPDX-License-Identifier: Apache-2.0
"""One point in time of a libvirt machine's disks, and what has to be lent for it.

A machine that is shut off is read in the same way as one that runs, through a *reader*: a domain
without network that holds the machine's disks, is started paused and never runs. Libvirt then opens
the images with its own rights and locks, so the account on the source needs no access to any file,
and nobody can start the machine in the middle of the copy.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

import libvirt

from tradewind.cleanup import cleanup_on_exit
from tradewind.domainxml import reader as reader_xml
from tradewind.errors import HypervisorError, StreamError
from tradewind.host.connection import connect
from tradewind.host.domain import backup, checkpoints, domains, freeze, run_folders
from tradewind.model.host import HostAccess
from tradewind.model.machine import Disk
from tradewind.model.run import Purpose
from tradewind.model.source import BackupTransport
from tradewind.model.storage import Checkpoint, Extent, Tracking
from tradewind.ports import DiskReader
from tradewind.private_folders import private_folder
from tradewind.remote import shell
from tradewind.remote.tunnel import forward
from tradewind.sources import nbd
from tradewind.sources.libvirt import scratch, scratch_watch, serving, snapshot_job, tracking
from tradewind.sources.libvirt.scratch_watch import ScratchWatch, WatchedSnapshot
from tradewind.sources.libvirt.snapshot_job import SnapshotRequest

SHUT_OFF: Final = "machine shut off; it cannot be started while it is read"


@dataclass(frozen=True, slots=True)
class LibvirtSnapshot:
    """One point in time of a machine's disks, served at a local NBD socket."""

    consistency: str
    moment: datetime
    checkpoint: Checkpoint | None
    trackings: Mapping[str, Tracking]
    socket: Path
    exports: Mapping[str, str]
    freeze: freeze.FreezeOutcome
    watch: ScratchWatch | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a person has to know of the point in time, as things are now."""
        unguarded = self.watch is not None and not self.watch.is_guarded
        return (*self.freeze.notes, *([scratch_watch.NO_GUARD] if unguarded else []))

    def tracking(self, disk: Disk) -> Tracking:
        """Return whether clean ranges of this disk are known, and if not, why."""
        return self.trackings[disk.id]

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk: data, known to read as zero, or clean."""
        # https://libvirt.org/formatbackup.html: the bitmap's default name is that of the disk.
        bitmap = f"qemu:dirty-bitmap:backup-{disk.id}" if self.tracking(disk).since else None
        with self._explained():
            yield from nbd.extents(self.socket, self.exports[disk.id], disk.capacity, bitmap)

    @contextlib.contextmanager
    def open(self, disk: Disk) -> Iterator[DiskReader]:
        """Open one more NBD connection to the disk."""
        with self._explained(), nbd.open_reader(self.socket, self.exports[disk.id]) as reader:
            yield reader

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.watch is None else self.watch.explained()


@contextlib.contextmanager
def snapshot(wanted: SnapshotRequest) -> Iterator[LibvirtSnapshot]:
    """Freeze one point in time and forward its NBD socket to this machine."""
    with contextlib.ExitStack() as lent:
        setting = _look(wanted)
        folder = lent.enter_context(_run_folder(wanted, setting.confinement))
        if wanted.is_shut_off:
            lent.enter_context(_reader(wanted))
        watch = lent.enter_context(_watch(wanted, folder, setting.pool))
        addresses = _addresses(wanted, folder)
        begun = lent.enter_context(snapshot_job.job(wanted, addresses, setting.pool))
        lent.enter_context(_unbroken(wanted, begun.address, watch))
        local = lent.enter_context(private_folder())
        tunnel = forward(wanted.access, begun.address, local)
        yield LibvirtSnapshot(
            consistency=SHUT_OFF if wanted.is_shut_off else begun.freeze.consistency,
            moment=begun.backup.moment,
            checkpoint=begun.checkpoint,
            trackings={each.disk_id: each for each in tracking.tracking_of(begun.backup.disks)},
            socket=lent.enter_context(tunnel),
            exports={each.target: each.export for each in begun.backup.disks},
            freeze=begun.freeze,
            watch=watch,
        )


@dataclass(frozen=True, slots=True)
class _ScratchSetting:
    """The folder for scratch files, if one is named, and what confines QEMU."""

    pool: PurePosixPath | None
    confinement: str


def _look(wanted: SnapshotRequest) -> _ScratchSetting:
    with connect(wanted.access) as connection:
        pool = scratch.folder_of_pool(connection, wanted.care)
        return _ScratchSetting(pool, run_folders.confined_by(connection))


def _addresses(wanted: SnapshotRequest, folder: PurePosixPath) -> tuple[str, ...]:
    if wanted.care.backup_transport is BackupTransport.UNIX:
        return serving.socket_in(folder)
    with shell.connect_to_host(wanted.access) as remote:
        return serving.free_ports(remote)


@contextlib.contextmanager
def _watch(
    wanted: SnapshotRequest, run_folder: PurePosixPath, pool: PurePosixPath | None
) -> Iterator[ScratchWatch | None]:
    """Watch the room for what the guest overwrites; nothing is overwritten in one that is off."""
    if wanted.is_shut_off:
        yield None
        return
    watched = WatchedSnapshot(
        access=wanted.access,
        machine=wanted.machine.name,
        uuid=wanted.machine.id,
        care=wanted.care,
        folders={str(scratch.folder_of(disk, pool)) for disk in wanted.machine.disks},
        run_folder=str(run_folder),
        give_up=lambda: snapshot_job.end(wanted),
    )
    with scratch_watch.watching(watched) as watch:
        yield watch


@contextlib.contextmanager
def _unbroken(wanted: SnapshotRequest, address: str, watch: ScratchWatch | None) -> Iterator[None]:
    """See that the backup job was there all the while.

    When a job ends, QEMU's NBD server serves a moment longer than the scratch files are filled:
    what was read last may be younger than the rest, without any error.
    """
    yield
    if watch is not None and (reason := watch.why_ended()) is not None:
        raise reason
    with connect(wanted.access) as connection:
        domain = domains.find_domain(connection, wanted.domain)
        if domain is None or backup.current_address(domain) != address:
            raise StreamError(
                f"the backup job of {wanted.machine.name} ended before all was read",
                "see whether the machine was stopped, or somebody ended the job (domjobabort)",
            )


def forget(wanted: SnapshotRequest) -> tuple[str, ...]:
    """Remove the checkpoints of the run's transfer and their bitmaps, and name them.

    HypervisorError: one is there still.
    """
    with connect(wanted.access) as connection:
        owner = domains.require_domain(connection, wanted.machine.name)
        last = wanted.since and wanted.since.of([disk.id for disk in wanted.machine.disks])
        if last is not None and last.disks:
            checkpoints.redefine(owner, last)
        made = checkpoints.made_by(owner, wanted.run.transfer)
        if made:
            with _holder(wanted, owner) as holder:
                for name in made:
                    checkpoints.discard_through(holder, owner, name)
        if left := checkpoints.made_by(owner, wanted.run.transfer):
            raise HypervisorError(
                f"machine {wanted.machine.name} still has checkpoint {', '.join(left)}",
                "see whether another program works on it (virsh domjobinfo), then try again",
            )
    return made


@contextlib.contextmanager
def _holder(wanted: SnapshotRequest, owner: libvirt.virDomain) -> Iterator[libvirt.virDomain]:
    """Lend a domain that runs and holds the machine's disks: the machine itself, or a reader."""
    if not wanted.is_shut_off:
        yield owner
        return
    with _reader(wanted), connect(wanted.access) as connection:
        yield domains.require_domain(connection, wanted.domain)


@contextlib.contextmanager
def _run_folder(wanted: SnapshotRequest, confinement: str) -> Iterator[PurePosixPath]:
    folder = run_folders.path_of(wanted.run.id, confinement)
    with shell.connect_to_host(wanted.access) as remote:
        run_folders.make(remote, folder, confinement)
    with cleanup_on_exit(
        lambda: _remove(wanted.access, str(folder)), what=f"folder {folder} on the source"
    ):
        yield folder


def _remove(access: HostAccess, folder: str) -> None:
    with shell.connect_to_host(access) as remote:
        run_folders.remove(remote, folder)


@contextlib.contextmanager
def _reader(wanted: SnapshotRequest) -> Iterator[None]:
    with cleanup_on_exit(lambda: _end_reader(wanted), what=f"reader {wanted.domain}"):
        with connect(wanted.access) as connection:
            domains.destroy(connection, wanted.domain)  # of an earlier attempt
            xml = reader_xml.reader_domain(
                wanted.domain,
                wanted.machine.disks,
                wanted.run.label(Purpose.READER),
                ask_for_backup=not backup.is_offered(connection),
            )
            domains.start_transient(connection, xml, paused=True)
        yield


def _end_reader(wanted: SnapshotRequest) -> None:
    with connect(wanted.access) as connection:
        domains.destroy(connection, wanted.domain)
