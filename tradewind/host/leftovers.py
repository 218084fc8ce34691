# SPDX-License-Identifier: Apache-2.0
"""Find and remove what runs made on a host and did not take away.

Whatever is temporary says so: domains carry a label, everything else has a name that begins with
`tradewind-<run>-`. A volume of a finished deployment keeps that name and is told apart by the
label of the machine that uses it.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final

import libvirt

from tradewind.domainxml import machine as machine_xml
from tradewind.host import backup, checkpoints, domains, networks, storage
from tradewind.model.label import LabelState
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.ports import Remote

_RUN: Final = re.compile(r"(?:^|/)tradewind-([0-9a-f]{12})(?:-|/|$)")
SOCKET_ROOT: Final = "/var/tmp"  # noqa: S108 - on the source host, where snapshots put sockets


def run_of(name: str) -> str | None:
    """Which run a name or a path belongs to; None when it is not one of ours."""
    found = _RUN.search(name)
    return found.group(1) if found else None


def find(connection: libvirt.virConnect) -> tuple[Leftover, ...]:
    """List everything temporary on the host, jobs first: the order in which it can be removed."""
    return (
        *_backup_jobs(connection),
        *_checkpoints(connection),
        *_domains(connection),
        *_networks(connection),
        *_volumes(connection),
    )


def find_folders(remote: Remote) -> tuple[Leftover, ...]:
    """List the socket folders that snapshots made on a source."""
    names = remote.run(["ls", "-1", SOCKET_ROOT]).stdout.split()
    return tuple(
        Leftover(kind=LeftoverKind.FOLDER, run=run, name=f"{SOCKET_ROOT}/{name}")
        for name in names
        if (run := run_of(name))
    )


def remove(connection: libvirt.virConnect, leftover: Leftover) -> None:
    """Remove one thing; nothing happens when it is gone. Folders go through remove_folder."""
    _REMOVERS[leftover.kind](connection, leftover)


def remove_folder(remote: Remote, leftover: Leftover) -> None:
    """Remove a socket folder."""
    remote.run(["rm", "-rf", "--", leftover.name])


def remove_run(connection: libvirt.virConnect, run: str) -> None:
    """Remove everything temporary that one run made."""
    remove_runs(connection, [run])


def remove_runs(connection: libvirt.virConnect, runs: Collection[str]) -> None:
    """Remove everything temporary that these runs made."""
    for leftover in find(connection):
        if leftover.run in runs:
            remove(connection, leftover)


def _end_job(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domain = domains.find_domain(connection, leftover.name)
    if domain is not None:
        backup.end(domain)


def _discard_checkpoint(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domain = domains.find_domain(connection, leftover.place)
    if domain is not None:
        checkpoints.discard(domain, leftover.name)


def _destroy_domain(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domains.destroy(connection, leftover.name)


def _remove_network(connection: libvirt.virConnect, leftover: Leftover) -> None:
    networks.remove(connection, leftover.name)


def _remove_volume(connection: libvirt.virConnect, leftover: Leftover) -> None:
    pool = connection.storagePoolLookupByName(leftover.place)
    storage.refresh(pool)
    for volume in pool.listAllVolumes():
        if volume.name() == leftover.name:
            volume.delete()


_REMOVERS: Final[dict[LeftoverKind, Callable[[libvirt.virConnect, Leftover], None]]] = {
    LeftoverKind.BACKUP_JOB: _end_job,
    LeftoverKind.CHECKPOINT: _discard_checkpoint,
    LeftoverKind.DOMAIN: _destroy_domain,
    LeftoverKind.NETWORK: _remove_network,
    LeftoverKind.VOLUME: _remove_volume,
}


def _backup_jobs(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        run = run_of(backup.current_socket(domain) or "")
        if run:
            yield Leftover(kind=LeftoverKind.BACKUP_JOB, run=run, name=domain.name())


def _checkpoints(connection: libvirt.virConnect) -> Iterator[Leftover]:
    """Of a reader too, while it is there: its bitmaps are in the images of a machine."""
    for domain in connection.listAllDomains():
        for name in checkpoints.names(domain):
            if run := run_of(name):
                yield Leftover(
                    kind=LeftoverKind.CHECKPOINT, run=run, name=name, place=domain.name()
                )


def _domains(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for domain in connection.listAllDomains():
        label = domains.read_label(domain)
        if label is not None and label.state is LabelState.TEMPORARY:
            yield Leftover(kind=LeftoverKind.DOMAIN, run=label.run, name=domain.name())


def _networks(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for network in connection.listAllNetworks():
        if run := run_of(network.name()):
            yield Leftover(kind=LeftoverKind.NETWORK, run=run, name=network.name())


def _volumes(connection: libvirt.virConnect) -> Iterator[Leftover]:
    kept = _volumes_of_finished_machines(connection)
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        storage.refresh(pool)
        for volume in pool.listAllVolumes():
            run = run_of(volume.name())
            if run and volume.path() not in kept:
                yield Leftover(
                    kind=LeftoverKind.VOLUME, run=run, name=volume.name(), place=pool.name()
                )


def _volumes_of_finished_machines(connection: libvirt.virConnect) -> frozenset[str]:
    finished = (
        domain
        for domain in connection.listAllDomains()
        if (label := domains.read_label(domain)) is None or label.state is LabelState.FINISHED
    )
    return frozenset(
        location for domain in finished for location in machine_xml.disk_locations(domain.XMLDesc())
    )
