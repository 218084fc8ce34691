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

from tradewind.domainxml import reader as reader_xml
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import HypervisorError, NotFoundError
from tradewind.host import backup, checkpoints, domains
from tradewind.host.connection import connect
from tradewind.lending import given_back
from tradewind.model.host import HostAccess
from tradewind.model.label import Purpose
from tradewind.model.machine import Disk, PowerState, VirtualMachine
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint, Extent, Tracking
from tradewind.ports import DiskReader
from tradewind.private_folders import private_folder
from tradewind.remote import shell
from tradewind.remote.tunnel import forward_unix_socket
from tradewind.sources import nbd, tracking

# Where QEMU puts the NBD socket: made by the account (setgid, group kvm, nobody else), so that
# QEMU's user – a member of kvm on Debian, SUSE and Red Hat – can create the socket and the
# account can connect to it.
SOCKET_ROOT: Final = PurePosixPath("/var/tmp")  # noqa: S108 - on the source host, mode 2770
SOCKET_GROUP: Final = "kvm"

# Scratch files of disks that are no files themselves (block devices) go here.
SCRATCH_FALLBACK: Final = PurePosixPath("/var/lib/libvirt/images")

SHUT_OFF: Final = "machine shut off; it cannot be started while it is read"


@dataclass(frozen=True, slots=True)
class LibvirtSnapshot:
    """One point in time of a machine's disks, served at a local NBD socket."""

    consistency: str
    moment: datetime
    checkpoint: Checkpoint | None
    trackings: Mapping[str, Tracking]
    socket: Path

    def tracking(self, disk: Disk) -> Tracking:
        """Say whether clean ranges of this disk are known, and if not, why."""
        return self.trackings[disk.id]

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk: data, known to read as zero, or clean."""
        # https://libvirt.org/formatbackup.html: the bitmap's default name is that of the disk.
        bitmap = f"qemu:dirty-bitmap:backup-{disk.id}" if self.tracking(disk).since else None
        return nbd.extents(self.socket, disk.id, disk.capacity, bitmap)

    def open(self, disk: Disk) -> contextlib.AbstractContextManager[DiskReader]:
        """Open one more NBD connection to the disk."""
        return nbd.open_reader(self.socket, disk.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a snapshot is asked for."""

    access: HostAccess
    machine: VirtualMachine
    run: Run
    since: Checkpoint | None
    track: bool

    @property
    def is_shut_off(self) -> bool:
        """Whether a reader has to hold the machine's disks."""
        return self.machine.power is PowerState.SHUT_OFF

    @property
    def domain(self) -> str:
        """Name the domain that is read."""
        reader = f"tradewind-{self.run.id}-{Purpose.READER}"
        return reader if self.is_shut_off else self.machine.name

    def disks(self) -> list[BackupDisk]:
        """Decide how each disk is read."""
        return [
            tracking.backup_disk(
                disk, str(_scratch(disk, self.run.id)), self.since, track=self.track
            )
            for disk in self.machine.disks
        ]


@contextlib.contextmanager
def snapshot(wanted: Wanted) -> Iterator[LibvirtSnapshot]:
    """Freeze one point in time and forward its NBD socket to this machine."""
    with contextlib.ExitStack() as lent:
        folder = lent.enter_context(_socket_folder(wanted))
        if wanted.is_shut_off:
            lent.enter_context(_reader(wanted))
        socket = folder / "nbd.sock"
        begun, checkpoint = lent.enter_context(_backup(wanted, socket))
        local = lent.enter_context(private_folder())
        tunnel = forward_unix_socket(wanted.access, str(socket), local)
        yield LibvirtSnapshot(
            consistency=SHUT_OFF if wanted.is_shut_off else begun.consistency,
            moment=begun.moment,
            checkpoint=checkpoint,
            trackings={each.disk_id: each for each in tracking.tracking_of(begun.disks)},
            socket=lent.enter_context(tunnel),
        )


def forget(wanted: Wanted) -> tuple[str, ...]:
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
def _holder(wanted: Wanted, owner: libvirt.virDomain) -> Iterator[libvirt.virDomain]:
    """Lend a domain that runs and holds the machine's disks: the machine itself, or a reader."""
    if not wanted.is_shut_off:
        yield owner
        return
    with _reader(wanted), connect(wanted.access) as connection:
        yield domains.require_domain(connection, wanted.domain)


def socket_folder(run_id: str) -> PurePosixPath:
    """Where a run's NBD socket lives on the source host."""
    return SOCKET_ROOT / f"tradewind-{run_id}"


@contextlib.contextmanager
def _socket_folder(wanted: Wanted) -> Iterator[PurePosixPath]:
    folder = str(socket_folder(wanted.run.id))
    with shell.connect_to_host(wanted.access) as remote:
        # A second attempt of a run finds what the first could not remove.
        remote.run(["rm", "-rf", folder])
        remote.run(["mkdir", "-m", "0700", folder])
        remote.run(["chgrp", SOCKET_GROUP, folder])
        remote.run(["chmod", "2770", folder])
    with given_back(lambda: _remove(wanted.access, folder)):
        yield PurePosixPath(folder)


def _remove(access: HostAccess, folder: str) -> None:
    with shell.connect_to_host(access) as remote:
        remote.run(["rm", "-rf", folder])


@contextlib.contextmanager
def _backup(
    wanted: Wanted, socket: PurePosixPath
) -> Iterator[tuple[backup.Begun, Checkpoint | None]]:
    name = checkpoints.name_of(wanted.run)
    with connect(wanted.access) as connection:
        domain = domains.require_domain(connection, wanted.domain)
        _tidy(connection, domain, wanted)
        job = backup.Job(str(socket), wanted.disks(), checkpoint=name if wanted.track else None)
        begun = backup.begin(domain, job)
    with given_back(lambda: _forget(wanted, name), only_on_error=True):
        with given_back(lambda: _end_backup(wanted)):
            created = int(begun.moment.timestamp())
            made = tracking.new_checkpoint(name, created, wanted.machine, begun.disks)
            yield begun, made if wanted.track else None
        if wanted.is_shut_off and wanted.track and made is not None:
            _hand_over(wanted, made)


def _tidy(connection: libvirt.virConnect, domain: libvirt.virDomain, wanted: Wanted) -> None:
    """Remove what failed executions left, and see that libvirt knows the checkpoint we count from.

    A job that a killed run left keeps checkpoints from being removed: it goes first.
    """
    backup.abort_leftover(domain)
    kept = wanted.since.name if wanted.since else ""
    owner = domains.require_domain(connection, wanted.machine.name)
    for name in checkpoints.made_by(owner, wanted.run.transfer):
        if name != kept and wanted.is_shut_off:
            checkpoints.discard_through(domain, owner, name)
        elif name != kept:
            checkpoints.discard(owner, name)
    if wanted.since is not None:
        checkpoints.redefine(domain, wanted.since)


def _end_backup(wanted: Wanted) -> None:
    with connect(wanted.access) as connection, contextlib.suppress(NotFoundError):
        backup.end(domains.require_domain(connection, wanted.domain))


def _forget(wanted: Wanted, name: str) -> None:
    """Take back the checkpoint of an execution that failed."""
    with connect(wanted.access) as connection, contextlib.suppress(NotFoundError):
        checkpoints.discard(domains.require_domain(connection, wanted.domain), name)


def _hand_over(wanted: Wanted, made: Checkpoint) -> None:
    """Tell libvirt that the machine has the checkpoint which its reader made in its images."""
    with connect(wanted.access) as connection:
        checkpoints.redefine(domains.require_domain(connection, wanted.machine.name), made)


@contextlib.contextmanager
def _reader(wanted: Wanted) -> Iterator[None]:
    label = wanted.run.label(Purpose.READER)
    xml = reader_xml.reader_domain(wanted.domain, wanted.machine.disks, label)
    with given_back(lambda: _end_reader(wanted)):
        with connect(wanted.access) as connection:
            domains.destroy(connection, wanted.domain)  # of an earlier attempt
            domains.start_transient(connection, xml, paused=True)
        yield


def _end_reader(wanted: Wanted) -> None:
    with connect(wanted.access) as connection:
        domains.destroy(connection, wanted.domain)


def _scratch(disk: Disk, run_id: str) -> PurePosixPath:
    location = PurePosixPath(disk.location)
    folder = SCRATCH_FALLBACK if location.is_relative_to("/dev") else location.parent
    return folder / f"tradewind-{run_id}-{disk.id}.scratch"
