# SPDX-License-Identifier: Apache-2.0
"""Pull-mode backup of a running domain: QEMU serves one point in time over NBD.

Protocol: https://libvirt.org/formatbackup.html and
https://libvirt.org/kbase/internals/incremental-backup.html.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import libvirt

from tradewind.domainxml import backup as backup_xml
from tradewind.domainxml import capabilities
from tradewind.domainxml import checkpoint as checkpoint_xml
from tradewind.domainxml.backup import BackupDisk, BackupJobFacts
from tradewind.errors import BusyError
from tradewind.host.refusals import may_accept_less
from tradewind.model.run import MARK

# Why a disk is read in full.
BROKEN = "its dirty bitmap is missing or inconsistent, as after a crash of QEMU"
NO_BITMAPS = "images of its format keep no dirty bitmaps"
# docs/interop/qcow2.txt of QEMU: extensions that a program may ignore (autoclear) came with 3.
OLD_IMAGE = (
    "qcow2 images of version 2 keep no dirty bitmaps (qemu-img amend -o compat=1.1 makes it one of"
    " version 3 while the machine is off)"
)
REFUSED = (
    "libvirt refuses to keep a dirty bitmap in its image (of qcow2 version 2, perhaps, or with"
    " snapshots of the machine)"
)


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """A backup to begin; `checkpoint` is the name of one to make at the same moment.

    It is served at `address`: a unix socket's path, or "name:port".
    """

    address: str
    disks: Sequence[BackupDisk]
    checkpoint: str | None = None

    @property
    def tracked(self) -> tuple[str, ...]:
        """Name the disks that the new checkpoint covers."""
        return tuple(disk.target for disk in self.disks if disk.tracked and self.checkpoint)


@dataclass(frozen=True, slots=True)
class StartedBackup:
    """A backup under way: of which moment, and each disk as it really is read."""

    moment: datetime
    disks: tuple[BackupDisk, ...]


def is_offered(connection: libvirt.virConnect) -> bool:
    """Return whether the host backs up machines that have not asked for it in their description.

    A driver that describes no capabilities gets the benefit of the doubt.
    """
    try:
        xml = connection.getDomainCapabilities(None, None, None, None, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return True
        raise
    return capabilities.parse_domain_capabilities(xml).backups


def begin(domain: libvirt.virDomain, job: BackupRequest) -> StartedBackup:
    """Start a pull-mode backup; a disk whose bitmap is of no use is read in full, and says why.

    A job that a killed run of ours left over is aborted first; anybody else's is a BusyError.
    """
    abort_leftover(domain)
    begun = _begin(domain, job)
    return StartedBackup(datetime.now(UTC), tuple(begun.disks))


def _begin(domain: libvirt.virDomain, job: BackupRequest) -> BackupRequest:
    """Begin, and ask for less of the tracking each time that libvirt refuses."""
    refused: list[BackupRequest] = []
    while True:
        try:
            domain.backupBegin(backup_xml.backup_xml(job.address, job.disks), _checkpoint(job), 0)
        except libvirt.libvirtError as error:
            refused.append(job)
            less = next((each for each in _lesser(refused[0]) if each not in refused), None)
            if less is None or not may_accept_less(error):
                raise
            job = less
        else:
            return job


def _checkpoint(job: BackupRequest) -> str | None:
    if not job.checkpoint or not job.tracked:
        return None
    others = [disk.target for disk in job.disks if disk.target not in job.tracked]
    return checkpoint_xml.checkpoint_xml(job.checkpoint, job.tracked, others)


def _lesser(job: BackupRequest) -> Iterator[BackupRequest]:
    """Offer what less could be asked for: one disk's tracking given up, then that of all.

    Which disk's bitmap is of no use is said in no field of libvirt's errors, only in their text.
    It looks at all disks before it begins anything, so that trying costs some milliseconds.
    """
    asked = [disk.target for disk in job.disks if disk.since]
    tracked = list(job.tracked)
    in_full = _changed(job, asked, since=None, why=BROKEN)
    for target in asked:
        yield _changed(job, [target], since=None, why=BROKEN)
    yield in_full
    for kept in (job, in_full):
        for target in tracked:
            yield _changed(kept, [target], since=None, tracked=False, why=REFUSED)
    yield _changed(
        job, tracked, tracked=False
    )  # counted from the last checkpoint, without a new one
    yield _changed(in_full, tracked, tracked=False, why=REFUSED)


def _changed(job: BackupRequest, targets: Sequence[str], **fields: Any) -> BackupRequest:
    return replace(
        job,
        disks=[replace(disk, **fields) if disk.target in targets else disk for disk in job.disks],
    )


def current_address(domain: libvirt.virDomain) -> str | None:
    """Return where a domain's backup job is served; None when no job runs."""
    job = _current(domain)
    return None if job is None else job.address


def mark_of(domain: libvirt.virDomain) -> str:
    """Name the file that tells a domain's backup job as ours; empty when none is.

    That is its socket; a job that is served over TCP is known by a scratch file.
    """
    job = _current(domain)
    return "" if job is None else _mark(job)


def _mark(job: BackupJobFacts) -> str:
    if (job.address or "").startswith("/"):
        files: tuple[str, ...] = (job.address or "",)
    else:
        files = job.scratch
    # Every path that we hand to a backup job carries the mark.
    return next((file for file in files if MARK in file), "")


def _current(domain: libvirt.virDomain) -> BackupJobFacts | None:
    try:
        return backup_xml.job_of(domain.backupGetXMLDesc())
    except libvirt.libvirtError as error:
        if error.get_error_code() in {
            libvirt.VIR_ERR_NO_DOMAIN_BACKUP,
            libvirt.VIR_ERR_OPERATION_INVALID,
            libvirt.VIR_ERR_NO_SUPPORT,  # a driver without backups has no job either
        }:
            return None
        raise


def abort_leftover(domain: libvirt.virDomain) -> None:
    """Abort a backup job that a killed run left over."""
    job = _current(domain)
    if job is None:
        return
    if not _mark(job):
        raise BusyError(
            f"machine {domain.name()} has a backup job of another program ({job.address})",
            "wait until it has ended, or end it: virsh domjobabort",
        )
    domain.abortJob()


def end(domain: libvirt.virDomain) -> None:
    """End our backup job; nothing happens when there is none, or another program's."""
    if mark_of(domain):
        domain.abortJob()
