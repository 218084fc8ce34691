# SPDX-License-Identifier: Apache-2.0
"""The backup job of a snapshot: checkpoints made known, the guest frozen, the job lent."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

import libvirt

from tradewind.cleanup import cleanup_on_exit
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import NotFoundError
from tradewind.host.connection import connect
from tradewind.host.domain import backup, checkpoints, domains, freeze, run_folders
from tradewind.host.refusals import may_accept_less
from tradewind.model.host import HostAccess
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.run import Purpose, Run, labelled_name
from tradewind.model.source import SourceCare
from tradewind.model.storage import Checkpoint
from tradewind.sources.libvirt import scratch, serving, tracking
from tradewind.waiting import repeatedly

# Seconds between two attempts to thaw a guest whose agent did not confirm it.
THAW_AGAIN: Final = 10.0


def reader_name(run: Run) -> str:
    """Name the domain that holds the disks of a machine that is shut off."""
    return labelled_name(run.id, Purpose.READER)


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """What a snapshot is asked for."""

    access: HostAccess
    machine: VirtualMachine
    run: Run
    since: Checkpoint | None
    track: bool
    care: SourceCare

    @property
    def is_shut_off(self) -> bool:
        """Whether a reader has to hold the machine's disks."""
        return self.machine.power is PowerState.SHUT_OFF

    @property
    def domain(self) -> str:
        """Name the domain that is read."""
        return reader_name(self.run) if self.is_shut_off else self.machine.name

    def disks(self, pool: PurePosixPath | None, address: str) -> list[BackupDisk]:
        """Decide how each disk is read; `pool` is the folder for scratch files, if one is named."""
        return [
            replace(
                tracking.backup_disk(
                    disk, scratch.path_of(disk, self.run.id, pool), self.since, track=self.track
                ),
                export=serving.export_name(disk.id, address),
            )
            for disk in self.machine.disks
        ]


@dataclass(frozen=True, slots=True)
class StartedSnapshot:
    """A backup under way, how its point in time came about, and the checkpoint made for it.

    It is served at `address`, and each disk under its own export name.
    """

    address: str
    backup: backup.StartedBackup
    freeze: freeze.FreezeOutcome
    checkpoint: Checkpoint | None


@contextlib.contextmanager
def job(
    wanted: SnapshotRequest, addresses: Sequence[str], pool: PurePosixPath | None
) -> Iterator[StartedSnapshot]:
    """Begin a backup that is served at the first address that it can have; leaving ends it.

    What is made for it is known before it is begun: a signal may come at any moment.
    """
    name = checkpoints.name_of(wanted.run)
    with cleanup_on_exit(lambda: _forget(wanted, name), only_on_error=True):
        with cleanup_on_exit(lambda: end(wanted)):
            checkpoint = name if wanted.track else None
            jobs = [
                backup.BackupRequest(at, wanted.disks(pool, at), checkpoint) for at in addresses
            ]
            moment, address, begun = _begin(wanted, jobs)
            created = int(begun.moment.timestamp())
            made = tracking.new_checkpoint(name, created, wanted.machine, begun.disks)
            with repeatedly(lambda: _thaw_late(wanted, moment), THAW_AGAIN), _told(moment):
                yield StartedSnapshot(address, begun, moment, made if wanted.track else None)
        if wanted.is_shut_off and wanted.track and made is not None:
            _hand_over(wanted, made)


@contextlib.contextmanager
def _told(moment: freeze.FreezeOutcome) -> Iterator[None]:
    """Tell of a guest that may stand still also where there will be no report."""
    try:
        yield
    except BaseException as error:
        for note in moment.notes:
            error.add_note(note)
        raise


def _begin(
    wanted: SnapshotRequest, jobs: Sequence[backup.BackupRequest]
) -> tuple[freeze.FreezeOutcome, str, backup.StartedBackup]:
    with connect(wanted.access) as connection, contextlib.ExitStack() as noted:
        confinement = run_folders.confined_by(connection)
        noted.enter_context(run_folders.refusals_explained(wanted.access.host, confinement))
        domain = domains.require_domain(connection, wanted.domain)
        _tidy(connection, domain, wanted)
        with freeze.frozen(domain, wanted.run.id, wanted.care.freeze_timeout) as moment:
            job, begun = _begun(domain, jobs)
    return moment, job.address, begun


def _begun(
    domain: libvirt.virDomain, jobs: Sequence[backup.BackupRequest]
) -> tuple[backup.BackupRequest, backup.StartedBackup]:
    """Begin the first of them that libvirt does not refuse."""
    for job in jobs[:-1]:
        with contextlib.suppress(libvirt.libvirtError):
            return job, backup.begin(domain, job)
    return jobs[-1], backup.begin(domain, jobs[-1])


def _thaw_late(wanted: SnapshotRequest, moment: freeze.FreezeOutcome) -> bool:
    """Thaw what the agent did not confirm; whether nothing is left to be thawed."""
    if moment.is_thaw_due:
        with connect(wanted.access) as connection:
            freeze.thaw_leftover(domains.require_domain(connection, wanted.domain))
        moment.is_thaw_due = False
        moment.said.append(
            "the guest's file systems were thawed late: some time after the snapshot"
        )
    return True


def _tidy(
    connection: libvirt.virConnect, domain: libvirt.virDomain, wanted: SnapshotRequest
) -> None:
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
        # Where libvirt does not take it back, the disks are read in full: see backup.begin.
        with _refusal_passed_over():
            checkpoints.redefine(domain, wanted.since)


@contextlib.contextmanager
def _refusal_passed_over() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        if not may_accept_less(error):
            raise


def end(wanted: SnapshotRequest) -> None:
    """End the backup; nothing happens when it has ended."""
    with connect(wanted.access) as connection, contextlib.suppress(NotFoundError):
        backup.end(domains.require_domain(connection, wanted.domain))


def _forget(wanted: SnapshotRequest, name: str) -> None:
    """Take back the checkpoint of an execution that failed."""
    with connect(wanted.access) as connection, contextlib.suppress(NotFoundError):
        checkpoints.discard(domains.require_domain(connection, wanted.domain), name)


def _hand_over(wanted: SnapshotRequest, made: Checkpoint) -> None:
    """Tell libvirt that the machine has the checkpoint which its reader made in its images."""
    with connect(wanted.access) as connection:
        checkpoints.redefine(domains.require_domain(connection, wanted.machine.name), made)
