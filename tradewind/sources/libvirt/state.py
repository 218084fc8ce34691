# SPDX-License-Identifier: Apache-2.0
"""What a libvirt machine is in that its disks do not show, and what then is not done with it.

docs/howto/state-of-the-source.md has the table. Memory that is kept somewhere, a disk that only one
of the two descriptions knows, a job that changes disks: none may be lost without a word.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import libvirt

from tradewind.domainxml import attached
from tradewind.domainxml.dropped import QEMU
from tradewind.domainxml.reader import BACKUP_CAPABILITY
from tradewind.errors import SeveralProblemsError
from tradewind.host.domain import backup, domains
from tradewind.model.machine import VirtualMachine
from tradewind.model.source import BlockedWork, SourceState

# Why a machine is paused, where that passes: another job has paused it.
_PAUSED_BY_A_JOB: Final = frozenset(
    {
        libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
        libvirt.VIR_DOMAIN_PAUSED_SAVE,
        libvirt.VIR_DOMAIN_PAUSED_DUMP,
        libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
        libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
        libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
        libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
    }
)
_CRASHES: Final = frozenset({libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED})
_JOBS: Final = frozenset({libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED})
_DIFFER: Final = "virsh dumpxml {0} and virsh dumpxml --inactive {0} differ"
_MEMORY_STAYS: Final = "what it has in memory is not in a replica"


def look(domain: libvirt.virDomain) -> tuple[SourceState, ...]:
    """List what is worth knowing of a machine beside its disks; nothing is changed."""
    name = domain.name()
    found = [*_power(domain, name), *_memory_on_disk(domain, name)]
    if not domain.isPersistent():
        found.append(_transient(name))
    if domain.isActive():
        found += [*_jobs(domain, name), *_attached(domain, name), *_backup_asked_for(domain, name)]
    return (*found, *_snapshots(domain, name), *_modes(domain))


def require(machine: VirtualMachine, *, moving: bool = False) -> None:
    """Raise what keeps a machine from being read, or also from being moved.

    BusyError for what passes by itself, BadInputError for the rest, all at once.
    """
    stopping = {BlockedWork.TRANSFER, *([BlockedWork.MOVE] if moving else [])}
    found = [state.error() for state in machine.states if state.stops in stopping]
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralProblemsError.of(found)


def notes(states: Sequence[SourceState]) -> tuple[str, ...]:
    """Say in the report what a machine was in when it was read."""
    return tuple(f"{state.what} ({state.remedy})" for state in states)


def _power(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    state, reason = domain.state()
    shown = f"virsh domstate --reason {name}: state {state}, reason {reason}"
    match state:
        case libvirt.VIR_DOMAIN_PAUSED:
            yield _paused(name, reason, shown)
        case libvirt.VIR_DOMAIN_CRASHED:
            yield _crashed(name, shown)
        case libvirt.VIR_DOMAIN_PMSUSPENDED:
            yield SourceState(
                what=f"{name} is suspended to memory: {_MEMORY_STAYS}",
                remedy=f"wake it: virsh dompmwakeup {name}",
                evidence=shown,
                stops=BlockedWork.MOVE,
            )
        case libvirt.VIR_DOMAIN_SHUTDOWN:
            yield SourceState(
                what=f"{name} is shutting down",
                remedy="wait until it is shut off",
                evidence=shown,
                stops=BlockedWork.TRANSFER,
                passes=True,
            )
        case libvirt.VIR_DOMAIN_SHUTOFF if reason in _CRASHES:
            yield SourceState(
                what=f"{name} ended by a crash: its disks are as after a power cut",
                remedy="start it and shut it down, if its file systems should be clean",
                evidence=shown,
            )


def _paused(name: str, reason: int, shown: str) -> SourceState:
    if reason in _PAUSED_BY_A_JOB:
        return SourceState(
            what=f"{name} is paused by another job (it is saved, migrated, dumped or started)",
            remedy=f"wait for its end: virsh domjobinfo {name}",
            evidence=shown,
            stops=BlockedWork.TRANSFER,
            passes=True,
        )
    if reason == libvirt.VIR_DOMAIN_PAUSED_CRASHED:
        return _crashed(name, shown)
    remedy = f"let it run: virsh resume {name}"
    why = ""
    if reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        why = " after a write of its guest failed"
        remedy = f"see virsh domblkerror {name}, make room or mend its storage, then {remedy}"
    return SourceState(
        what=f"{name} is paused{why}: it cannot be frozen or shut down, and {_MEMORY_STAYS}",
        remedy=remedy,
        evidence=shown,
        stops=BlockedWork.MOVE,
    )


def _crashed(name: str, shown: str) -> SourceState:
    return SourceState(
        what=f"{name} has crashed, and QEMU keeps its memory: {_MEMORY_STAYS}",
        remedy=f"look at it (virsh dump), then virsh reset {name} or virsh destroy {name}",
        evidence=shown,
        stops=BlockedWork.MOVE,
    )


def _memory_on_disk(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    """Find memory that was saved: the disks belong to it, and to nothing else any more."""
    if domain.isPersistent() and domain.hasManagedSaveImage():
        yield SourceState(
            what=f"{name} is not shut off but saved (managed save): its memory is not in its disks,"
            " and they are as after a power cut without it",
            remedy=f"virsh start {name}, then shut it down in its guest; to give its memory up,"
            f" virsh managedsave-remove {name} before that",
            evidence=f"virsh dominfo {name}: Managed save: yes",
            stops=BlockedWork.TRANSFER,
        )
    elif domain.state() == [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED]:
        yield SourceState(
            what=f"{name} was saved and not shut down: its disks are as after a power cut, and its"
            " memory, if it is kept (virsh save), is not in them",
            remedy="virsh restore FILE, or without its memory virsh start; then shut it down in its"
            " guest",
            evidence=f"virsh domstate --reason {name}: shut off (saved)",
            stops=BlockedWork.MOVE,
        )


def _transient(name: str) -> SourceState:
    return SourceState(
        what=f"{name} is transient: shut down, it would be gone for good",
        remedy="define it: virsh dumpxml … > file, virsh define file",
        evidence=f"virsh dominfo {name}: Persistent: no",
        stops=BlockedWork.MOVE,
    )


def _jobs(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    # A job that a killed run of ours left is ended before the next snapshot.
    if _has_job(domain) and not backup.mark_of(domain):
        yield SourceState(
            what=f"another job runs on {name}",
            remedy="let it end, or end it (virsh domjobabort): backup programs and migrations are"
            " such jobs",
            evidence=f"virsh domjobinfo {name}: a job is under way",
            stops=BlockedWork.TRANSFER,
            passes=True,
        )
    xml = domain.XMLDesc()
    for target in sorted({*attached.mirrored_disks(xml), *_block_jobs(domain, xml)}):
        yield SourceState(
            what=f"a block job works on disk {target} of {name}",
            remedy=f"let it end, or end it: virsh blockjob {name} {target} --abort",
            evidence=f"virsh blockjob {name} {target}: a job is under way",
            stops=BlockedWork.TRANSFER,
            passes=True,
        )


def _has_job(domain: libvirt.virDomain) -> bool:
    try:
        return domain.jobInfo()[0] in _JOBS
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False  # a driver without jobs
        raise


def _block_jobs(domain: libvirt.virDomain, xml: str) -> Iterator[str]:
    """Name the disks with a job that their description does not show: block pull and commit."""
    for target in attached.disks_of(xml):
        job = domain.blockJobInfo(target, 0)
        if job and job.get("type") != libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP:
            yield target


def _backup_asked_for(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    """Find a machine that has to ask for backups and does not; libvirt before 7.6 refuses it."""
    if backup.is_offered(domain.connect()) or BACKUP_CAPABILITY in domain.XMLDesc():
        return
    yield SourceState(
        what=f"{name} cannot be read while it runs: libvirt of this age backs up only what asks for"
        " it",
        remedy=f"virsh edit {name}: give <domain> the attribute xmlns:qemu='{QEMU}', put"
        f" <qemu:capabilities><qemu:add capability='{BACKUP_CAPABILITY}'/></qemu:capabilities>"
        " before </domain>, shut it down and start it; or move it while it is off",
        evidence="virsh domcapabilities: <backup supported='no'/>",
        stops=BlockedWork.TRANSFER,
    )


def _attached(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    if not domain.isPersistent():
        return
    running, definition = domain.XMLDesc(), domains.definition(domain)
    for disk in attached.disk_differences(running, definition):
        yield different_disk(disk, name)
    for nic in attached.nic_differences(running, definition):
        if not nic.defined:
            yield SourceState(
                what=f"NIC {nic.name} is plugged into the running {name} only, not into its"
                " definition: the new machine does not get it",
                remedy="virsh attach-interface --config, if it is needed",
                evidence=_DIFFER.format(name),
            )


def different_disk(disk: attached.Difference, name: str) -> SourceState:
    """Say that a disk is not the same in the running machine and in its definition."""
    shown = _DIFFER.format(name)
    if not disk.defined:
        return SourceState(
            what=f"disk {disk.name} ({disk.now}) is attached to the running {name} only, not to its"
            " definition: it is not in the replica",
            remedy="add it to the definition (virsh attach-disk … --config), or detach it",
            evidence=shown,
            stops=BlockedWork.MOVE,
        )
    if not disk.now:
        what = f"disk {disk.name} ({disk.defined}) is in the definition of {name} only: while the"
        what += " machine runs without it, it cannot be read"
    else:
        what = f"disk {disk.name} of {name} is {disk.now} now, and {disk.defined} by its definition"
    return SourceState(
        what=what,
        remedy="make both the same: attach or detach it (--live or --config), or restart the"
        " machine",
        evidence=shown,
        stops=BlockedWork.TRANSFER,
    )


def _snapshots(domain: libvirt.virDomain, name: str) -> Iterator[SourceState]:
    kinds = {
        "internal": libvirt.VIR_DOMAIN_SNAPSHOT_LIST_INTERNAL,
        "external": libvirt.VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL,
    }
    for kind, flag in kinds.items():
        if count := domain.snapshotNum(flag):
            yield SourceState(
                what=f"{name} has {count} {kind} snapshot{'s' if count > 1 else ''}: the replica"
                " has its disks as they are now, and no snapshots",
                remedy="remove them where they are not needed: virsh snapshot-delete",
                evidence=f"virsh snapshot-list --{kind} {name}: {count}",
            )


def _modes(domain: libvirt.virDomain) -> Iterator[SourceState]:
    xml = domains.definition(domain)
    for target in attached.read_only_disks(xml):
        yield SourceState(
            what=f"disk {target} is read-only for its guest: all of it is read each time",
            remedy="nothing has to be done: it is read-only in the new machine, too",
            evidence=f"virsh dumpxml: <readonly/> of {target}",
        )
    for target in attached.shared_disks(xml):
        yield SourceState(
            what=f"disk {target} may be shared with other machines: what they write while it is"
            " read, or after it has moved, is not in the replica",
            remedy="move all machines that share it while none of them runs",
            evidence=f"virsh dumpxml: <shareable/> of {target}",
        )
