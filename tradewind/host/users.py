# SPDX-License-Identifier: Apache-2.0
"""Who uses a volume: machines that have it as a disk, and volumes that lie on top of it."""

from collections.abc import Collection, Iterator

import libvirt

from tradewind.domainxml import machine as machine_xml
from tradewind.errors import BusyError, HypervisorError
from tradewind.host import storage
from tradewind.model.storage import Volume


def require_unused(connection: libvirt.virConnect, volumes: Collection[Volume]) -> None:
    """Raise BusyError when something uses one of the volumes; all users are named."""
    users = sorted({user for volume in volumes for user in _users(connection, volume)})
    if users:
        raise BusyError(
            f"volumes of the replica are in use on {connection.getHostname()}: {', '.join(users)}",
            "give that machine disks of its own, or undefine it; then try again",
        )


def require_gone(connection: libvirt.virConnect, volumes: Collection[Volume]) -> None:
    """Raise HypervisorError when one of the volumes is there still."""
    left = [
        f"{volume.name} in pool {volume.pool}"
        for volume in volumes
        if storage.find_volume(connection, volume.pool, volume.name) is not None
    ]
    if left:
        raise HypervisorError(
            f"still on {connection.getHostname()}: {', '.join(left)}", "try again"
        )


def _users(connection: libvirt.virConnect, volume: Volume) -> Iterator[str]:
    found = storage.find_volume(connection, volume.pool, volume.name)
    if found is None:
        return
    places = {found.path(), f"{volume.pool}/{volume.name}"}
    for domain in connection.listAllDomains():
        if places & set(machine_xml.disk_locations(domain.XMLDesc())):
            yield f"{volume.name} by machine {domain.name()}"
    for other in storage.find_pool(connection, volume.pool).listAllVolumes():
        if storage.describe_volume(other).backing == found.path():
            yield f"{volume.name} by volume {other.name()}, which lies on top of it"
