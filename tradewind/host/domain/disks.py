# SPDX-License-Identifier: Apache-2.0
"""Disks of a running domain: attach, detach."""

from typing import Final

import libvirt

from tradewind.domainxml import worker as worker_xml
from tradewind.host import storage
from tradewind.host.domain.domains import require_domain
from tradewind.host.storage import volume_users
from tradewind.model.storage import ReplicaVolume
from tradewind.waiting import wait_for

DETACH_TIMEOUT: Final = 60


def attach_volume(connection: libvirt.virConnect, name: str, replica: ReplicaVolume) -> None:
    """Hot-attach an unused volume to a running domain; its serial tells it from the others."""
    domain = require_domain(connection, name)
    xml = domain.XMLDesc()
    if worker_xml.find_disk(xml, replica.serial) is not None:  # a retried step
        return
    volume = storage.require_volume(connection, replica.volume.pool, replica.volume.name)
    volume_users.require_unused(connection, [volume])
    device = worker_xml.attached_disk(
        volume.path(),
        replica.volume.format,
        replica.serial,
        worker_xml.free_target(xml),
        replica.sector,
        block=storage.holds_blocks(connection, replica.volume.pool),
    )
    domain.attachDeviceFlags(device, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def detach_disk(connection: libvirt.virConnect, name: str, serial: str) -> None:
    """Detach the disk with this serial, and wait until the guest let go of it."""
    domain = require_domain(connection, name)
    device = worker_xml.find_disk(domain.XMLDesc(), serial)
    if device is None:
        return
    domain.detachDeviceFlags(device, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    wait_for(
        lambda: worker_xml.find_disk(domain.XMLDesc(), serial) is None,
        f"worker {name} lets go of disk {serial}",
        DETACH_TIMEOUT,
        every=0.5,
        hint="the guest does not answer to the unplug request; look at it with virsh console",
    )
