# SPDX-License-Identifier: Apache-2.0
"""Fencing: the original may start only when no new machine runs, as its host says at that moment.

The new machine is known by its label, which names the transfer and the run. A domain that has its
name or its UUID without that label is somebody's, or was edited by hand: it is left alone, and
while it runs nothing can be proven.
"""

from collections.abc import Iterator

import libvirt

from tradewind.errors import FencingError, HypervisorError
from tradewind.host import leftovers
from tradewind.host.domain import domains
from tradewind.model.cutover import Outage
from tradewind.model.run import Label, Purpose


def find_new_machine(connection: libvirt.virConnect, outage: Outage) -> libvirt.virDomain | None:
    """Find the domain that this outage made on the destination; FencingError when it was edited."""
    for domain in _ours(connection, outage):
        return domain
    return None


def fence(connection: libvirt.virConnect, outage: Outage) -> None:
    """Switch the new machine off, and prove that none of this outage runs here.

    FencingError when that cannot be proven, or when the machine was renamed by hand: nothing of it
    is touched then.
    """
    _refuse_strangers(connection, outage)
    for domain in _ours(connection, outage):
        if domain.isActive():
            domain.destroy()
    running = [domain.name() for domain in _ours(connection, outage) if domain.isActive()]
    if running:
        raise FencingError(
            f"{', '.join(running)} runs on {connection.getHostname()} after it was switched off",
            "see who starts it there",
        )


def clear(connection: libvirt.virConnect, outage: Outage, *, kept: bool = False) -> None:
    """Remove what the deployment of an outage made, its machine too, once that is fenced.

    One that was `kept` because it did not boot stays: it is shut off, and a person's.
    """
    fence(connection, outage)
    if outage.deployment is not None and not kept:
        leftovers.remove_all_of(connection, outage.deployment)


def _ours(connection: libvirt.virConnect, outage: Outage) -> Iterator[libvirt.virDomain]:
    for domain in connection.listAllDomains():
        label = _label(domain)
        if label is None or label.purpose is not Purpose.MACHINE or not _is_of(label, outage):
            continue
        expected = outage.new
        if expected is not None:
            _require_as_made(domain, expected.name, connection.getHostname())
        yield domain


def _is_of(label: Label, outage: Outage) -> bool:
    """Whether a machine was made in this outage, even when the ledger does not know its run."""
    in_it = label.transfer == outage.transfer and label.created >= outage.begun
    return label.run == outage.deployment or in_it


def _require_as_made(domain: libvirt.virDomain, name: str, host: str) -> None:
    if domain.name() != name:
        raise FencingError(
            f"the new machine {name} is called “{domain.name()}” on {host} now: somebody has"
            " renamed it, and it is not touched",
            f"decide by hand which machine shall run; to go on from here, rename it back"
            f" (virsh domrename {domain.name()} {name})",
        )


def _refuse_strangers(connection: libvirt.virConnect, outage: Outage) -> None:
    """Raise when a domain runs that has the identity of the machine and is not ours."""
    names = {outage.new.name} if outage.new else set()
    uuids = {outage.machine.id} | ({outage.new.uuid} if outage.new else set())
    known = {domain.UUIDString() for domain in _ours(connection, outage)}
    for domain in connection.listAllDomains():
        alike = domain.name() in names or domain.UUIDString() in uuids
        if alike and domain.UUIDString() not in known and domain.isActive():
            raise FencingError(
                f"machine {domain.name()} runs on {connection.getHostname()} with the name or the"
                " UUID of the new one, and without its label: somebody has defined or edited it,"
                " and it is not touched",
                f"decide by hand which machine shall run; see: virsh dumpxml {domain.name()}",
            )


def _label(domain: libvirt.virDomain) -> Label | None:
    try:
        return domains.read_label(domain)
    except HypervisorError:  # a label of another version: by name and UUID it is looked at still
        return None
