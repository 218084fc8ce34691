# SPDX-License-Identifier: Apache-2.0
"""What can be said of a machine of a libvirt host before it is read; nothing is changed."""

from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.domainxml import dropped
from tradewind.domainxml.document import parse
from tradewind.host.domain import run_folders
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.source import (
    BackupTransport,
    SourceCare,
    SourceFindings,
)
from tradewind.ports import Remote
from tradewind.sources.libvirt import guest, scratch, versions
from tradewind.sources.libvirt.tracking import no_bitmaps

# Without incremental backup (libvirt 6.6 finished it, with QEMU 4.2) a running machine
# cannot be read at all. https://libvirt.org/formatcheckpoint.html
OLDEST_LIBVIRT: Final = 6_006_000


def preflight_source(
    connection: libvirt.virConnect,
    remote: Remote,
    domain: libvirt.virDomain,
    machine: VirtualMachine,
    care: SourceCare,
) -> SourceFindings:
    """Return what keeps the machine from being read, or makes that dearer, and what runs in it."""
    found = [*_of_host(connection, care), *_findings(connection, domain, machine)]
    if machine.power is PowerState.RUNNING:
        found += scratch.findings(connection, remote, machine, care)
    return SourceFindings(findings=tuple(found), guest=guest.seen(domain, machine))


def _findings(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> Iterator[Finding]:
    if domain.isActive():
        yield from _running(domain, machine)
    yield from (state.finding() for state in machine.states)
    for disk in (versions.measured(connection, disk) for disk in machine.disks):
        if reason := no_bitmaps(disk):
            yield note(
                f"disk {disk.id}: each execution reads all of it; what is equal is not sent",
                "convert it to qcow2 of version 3 if that takes too long",
                reason,
            )
    stored = dropped.stored(parse(machine.description)) if machine.description else ()
    for sentence in machine.dropped:
        severity = warning if sentence in stored else note
        yield severity(
            sentence,
            "if it is needed, give the new machine one of its own: virsh edit, after the move",
            f"virsh dumpxml {machine.name}",
        )


def _of_host(connection: libvirt.virConnect, care: SourceCare) -> Iterator[Finding]:
    if connection.getLibVersion() < OLDEST_LIBVIRT:
        yield error(
            f"libvirt of {connection.getHostname()} is too old to read machines while they run",
            "update it to 6.6 or newer, or move the machine's disk images",
            f"version {connection.getLibVersion()}",
        )
    if care.backup_transport is BackupTransport.TCP:
        yield warning(
            "while the machine is read, every account of its host can read its disks too: QEMU"
            f" serves them at a port of {connection.getHostname()}'s loopback",
            "set backup_transport of the endpoint to unix, unless that host has no other accounts",
            "backup_transport of the source's endpoint: tcp",
        )
    elif confinement := run_folders.confined_by(connection):
        yield note(
            f"QEMU is confined by {confinement}: the snapshot's socket is made in"
            f" {run_folders.path_of('<run>', confinement)}, as the rules that libvirt ships allow",
            "nothing is to be done unless the trial of it failed (tradewind endpoint host-rules)",
            f"virsh capabilities: <secmodel> {confinement}",
        )


def _running(domain: libvirt.virDomain, machine: VirtualMachine) -> Iterator[Finding]:
    if not guest.answers(domain):
        yield note(
            f"no guest agent answers in {machine.name}: its file systems are not frozen for the"
            " snapshot, and are as after a power cut",
            "install and start qemu-guest-agent in the guest, if it has a channel for it",
            "guest-ping: no answer",
        )
