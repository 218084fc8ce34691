# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a domain on its host: make ours known, tell them from others, remove them.

Each checkpoint has a dirty bitmap of its name in each tracked disk, which records from then on and
for itself: since libvirt 6.5 neither removing an older one nor what other programs make changes
what it says (tried with 9.0: docs/decisions/0010-change-tracking.md).
"""

import contextlib

import libvirt

from tradewind.domainxml import checkpoint as checkpoint_xml
from tradewind.host.refusals import may_accept_less
from tradewind.model.run import MARK, Run, labelled_name
from tradewind.model.storage import Checkpoint, TrackedDisk


def name_of(run: Run) -> str:
    """Name the checkpoint that a run makes: by its run for the sweep, by its transfer for us."""
    return labelled_name(run.id, run.transfer)


def names(domain: libvirt.virDomain) -> tuple[str, ...]:
    """Name all checkpoints of a domain."""
    return tuple(checkpoint.getName() for checkpoint in domain.listAllCheckpoints())


def made_by(domain: libvirt.virDomain, transfer: str) -> tuple[str, ...]:
    """Name the checkpoints that executions of a transfer made."""
    return tuple(
        name
        for name in names(domain)
        if name.startswith(MARK) and name.endswith(f"-{transfer}") and transfer
    )


def redefine(domain: libvirt.virDomain, checkpoint: Checkpoint) -> None:
    """Tell libvirt of a checkpoint that it forgot, or never knew of this domain.

    Whether the bitmaps are there shows when they are used.
    """
    if checkpoint.name in names(domain):
        return
    xml = checkpoint_xml.redefinition_xml(checkpoint, domain.XMLDesc())
    domain.checkpointCreateXML(xml, libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE)


def read(domain: libvirt.virDomain, name: str) -> Checkpoint:
    """Describe a checkpoint as libvirt knows it; how large the disks were it does not know."""
    xml = domain.checkpointLookupByName(name).getXMLDesc()
    return Checkpoint(
        name=name,
        machine_id=domain.UUIDString(),
        created=checkpoint_xml.creation_time(xml),
        disks=tuple(
            TrackedDisk(disk_id=target, capacity=0) for target in checkpoint_xml.tracked_disks(xml)
        ),
    )


def discard(domain: libvirt.virDomain, name: str) -> None:
    """Remove a checkpoint and its bitmaps; nothing happens when it is gone.

    Of a domain that does not run libvirt can only forget it: the bitmaps stay in the images.
    """
    if name not in names(domain):
        return
    if not domain.isActive():
        _forget(domain, name)
        return
    checkpoint = read(domain, name)
    try:
        domain.checkpointLookupByName(name).delete()
    except libvirt.libvirtError as error:
        if not may_accept_less(error):
            raise
        _discard_one_by_one(domain, checkpoint)


def _discard_one_by_one(domain: libvirt.virDomain, checkpoint: Checkpoint) -> None:
    """Remove what there is of a checkpoint's bitmaps.

    A bitmap that was made since QEMU's last clean end is gone with a crash, and libvirt (9.0) then
    removes none of the checkpoint at all. Which one it misses is said in its text alone.
    """
    _forget(domain, checkpoint.name)
    for disk in checkpoint.disks:
        redefine(domain, checkpoint.of([disk.disk_id]))
        with contextlib.suppress(libvirt.libvirtError):
            domain.checkpointLookupByName(checkpoint.name).delete()
        if checkpoint.name in names(domain):
            _forget(domain, checkpoint.name)


def _forget(domain: libvirt.virDomain, name: str) -> None:
    found = domain.checkpointLookupByName(name)
    found.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)


def discard_through(reader: libvirt.virDomain, domain: libvirt.virDomain, name: str) -> None:
    """Remove a checkpoint of a domain, bitmaps included, even when it is shut off.

    Then another domain, which holds the same disks and runs, has to remove the bitmaps.
    """
    if reader.name() == domain.name():
        discard(domain, name)
        return
    redefine(reader, read(domain, name))
    discard(reader, name)
    discard(domain, name)
