# SPDX-License-Identifier: Apache-2.0
"""What can be said of a machine of a libvirt host before it is read; nothing is changed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import libvirt

from tradewind.host import domains
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.foresight import Foresight, GuestSeen, Space
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.sources.tracking import no_bitmaps

# Without incremental backup (libvirt 6.6 finished it, with QEMU 4.2) a running machine
# cannot be read at all. https://libvirt.org/formatcheckpoint.html
OLDEST_LIBVIRT: Final = 6_006_000
# As virsh calls them.
_JOBS: Final = {
    libvirt.VIR_DOMAIN_JOB_BOUNDED: "Job type: Bounded",
    libvirt.VIR_DOMAIN_JOB_UNBOUNDED: "Job type: Unbounded",
}


def foresee(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> Foresight:
    """Say what keeps the machine from being read, or makes that dearer, and what runs in it."""
    return Foresight(
        findings=tuple(_findings(connection, domain, machine)), guest=_guest(domain, machine)
    )


def _findings(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> Iterator[Finding]:
    if connection.getLibVersion() < OLDEST_LIBVIRT:
        yield error(
            f"libvirt of {connection.getHostname()} is too old to read machines while they run",
            "update it to 6.6 or newer, or move the machine's disk images",
            f"version {connection.getLibVersion()}",
        )
    if not domain.isPersistent():
        yield warning(
            f"{machine.name} is transient: it can be replicated, but a move would refuse it",
            "define it: virsh dumpxml … > file, virsh define file",
            f"virsh dominfo {machine.name}: Persistent: no",
        )
    if domain.isActive():
        yield from _running(domain, machine)
    for disk in machine.disks:
        if reason := no_bitmaps(disk):
            yield note(
                f"disk {disk.id}: each execution reads all of it; what is equal is not sent",
                "convert it to qcow2 if that takes too long",
                reason,
            )
    for sentence in machine.dropped:
        yield note(
            sentence,
            "if it is needed, give the new machine one of its own: virsh edit, after the move",
            f"virsh dumpxml {machine.name}",
        )


def _running(domain: libvirt.virDomain, machine: VirtualMachine) -> Iterator[Finding]:
    job = domain.jobInfo()[0]
    if job in _JOBS:
        yield warning(
            f"another job runs on {machine.name}: the snapshot waits for it or fails",
            "let it end, or end it: backup programs and migrations are such jobs",
            f"virsh domjobinfo {machine.name}: {_JOBS[job]}",
        )
    if domains.ask_agent(domain, "guest-ping") is None:
        yield note(
            f"no guest agent answers in {machine.name}: its file systems are not frozen for the"
            " snapshot, and are as after a power cut",
            "install and start qemu-guest-agent in the guest, if it has a channel for it",
            "guest-ping: no answer",
        )


def _guest(domain: libvirt.virDomain, machine: VirtualMachine) -> GuestSeen:
    """Ask the guest agent for its system and its file systems, else go by the description."""
    seen = GuestSeen(os=machine.os_hint or "")
    if machine.power is not PowerState.RUNNING:
        return seen
    system = domains.ask_agent(domain, "guest-get-osinfo")
    mounts = domains.ask_agent(domain, "guest-get-fsinfo")
    return GuestSeen(
        os=str((system or {}).get("id") or seen.os)[:64],
        spaces=tuple(space for mount in mounts or () if (space := _space(mount)) is not None),
    )


def _space(mount: Mapping[str, Any]) -> Space | None:
    """Read one file system. Format: guest-get-fsinfo of QEMU's guest agent, sizes in bytes."""
    try:
        total, used = int(mount["total-bytes"]), int(mount["used-bytes"])
        return Space(path=str(mount["mountpoint"])[:256], free=total - used)
    except (KeyError, TypeError, ValueError):
        return None  # what is not mounted has no size
