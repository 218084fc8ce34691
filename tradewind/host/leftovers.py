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

from tradewind.domainxml.locations import normal_path
from tradewind.errors import HypervisorError
from tradewind.host import networks, storage
from tradewind.host.domain import backup, checkpoints, domains, freeze, run_folders, twins
from tradewind.host.storage import pools, volume_users, witness
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.run import LabelState, Purpose
from tradewind.ports import Remote

_RUN: Final = re.compile(r"(?:^|/)(?:pulse-)?tradewind-([0-9a-f]{12})(?:-|/|$)")


def run_of(name: str) -> str | None:
    """Which run a name or a path belongs to; None when it is not one of ours."""
    found = _RUN.search(name)
    return found.group(1) if found else None


def find(connection: libvirt.virConnect) -> tuple[Leftover, ...]:
    """List everything temporary on the host, in the order in which it can be removed.

    A guest that stands still comes first.
    """
    return (
        *_freezes(connection),
        *_backup_jobs(connection),
        *_checkpoints(connection),
        *_domains(connection),
        *_twins(connection),
        *_networks(connection),
        *_volumes(connection),
    )


def find_orphans(connection: libvirt.virConnect) -> tuple[Leftover, ...]:
    """List the witnesses of volumes that are gone: whoever made them, they say nothing any more."""
    return tuple(
        Leftover(kind=LeftoverKind.WITNESS, run=said.run, name=name, place=pool)
        for pool, name, said in witness.orphans(connection)
    )


def find_folders(remote: Remote) -> tuple[Leftover, ...]:
    """List the socket folders that snapshots made on a source."""
    return tuple(
        Leftover(kind=LeftoverKind.FOLDER, run=run, name=f"{parent}/{name}")
        for parent in run_folders.PARENTS
        for name in remote.run(["ls", "-1", parent]).stdout.split()
        if (run := run_folders.run_of(name))
    )


def remove(connection: libvirt.virConnect, leftover: Leftover) -> None:
    """Remove one thing; nothing happens when it is gone. Folders go through remove_folder."""
    _REMOVERS[leftover.kind](connection, leftover)


def remove_folder(remote: Remote, leftover: Leftover) -> None:
    """Remove a socket folder."""
    run_folders.remove(remote, leftover.name)


def remove_run(connection: libvirt.virConnect, run: str) -> None:
    """Remove everything temporary that one run made."""
    remove_runs(connection, [run])


def remove_all_of(connection: libvirt.virConnect, run: str) -> None:
    """Remove everything that a run made which the ledger has not completed, its machine too.

    Whatever that machine's label says: the ledger is what knows.
    """
    for domain in connection.listAllDomains():
        label = domains.read_label(domain)
        if label is not None and label.run == run:
            domains.destroy(connection, domain.name())
    remove_run(connection, run)


def finish_machine(connection: libvirt.virConnect, name: str, *, autostart: bool | None) -> None:
    """Mark a migrated machine as finished; nothing happens to a domain of another purpose.

    Its autostart stays as it is when it is not known what was asked for.
    """
    label = domains.read_label(domains.require_domain(connection, name))
    if label is None or label.purpose is not Purpose.MACHINE:
        return
    if autostart is not None:
        domains.start_with_host(connection, name, wanted=autostart)
    finished = label.model_copy(update={"state": LabelState.FINISHED})
    domains.write_label(connection, name, finished)


def remove_runs(connection: libvirt.virConnect, runs: Collection[str]) -> None:
    """Remove everything temporary that these runs made.

    A guest whose agent does not thaw it keeps nothing else from being removed: its mark stays.
    """
    for leftover in find(connection):
        if leftover.run in runs:
            try:
                remove(connection, leftover)
            except HypervisorError:
                if leftover.kind is not LeftoverKind.FREEZE:
                    raise


def _end_job(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domain = domains.find_domain(connection, leftover.name)
    if domain is not None:
        backup.end(domain)


def _thaw(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domain = domains.find_domain(connection, leftover.name)
    if domain is not None:
        freeze.thaw_leftover(domain)


def _discard_checkpoint(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domain = domains.find_domain(connection, leftover.place)
    if domain is not None:
        checkpoints.discard(domain, leftover.name)


def _destroy_domain(connection: libvirt.virConnect, leftover: Leftover) -> None:
    domains.destroy(connection, leftover.name)


def _remove_network(connection: libvirt.virConnect, leftover: Leftover) -> None:
    networks.remove(connection, leftover.name)


def _remove_volume(connection: libvirt.virConnect, leftover: Leftover) -> None:
    storage.delete_volume(connection, leftover.place, leftover.name)


_REMOVERS: Final[dict[LeftoverKind, Callable[[libvirt.virConnect, Leftover], None]]] = {
    LeftoverKind.FREEZE: _thaw,
    LeftoverKind.BACKUP_JOB: _end_job,
    LeftoverKind.CHECKPOINT: _discard_checkpoint,
    LeftoverKind.DOMAIN: _destroy_domain,
    LeftoverKind.TWIN: _destroy_domain,
    LeftoverKind.NETWORK: _remove_network,
    LeftoverKind.VOLUME: _remove_volume,
    LeftoverKind.WITNESS: _remove_volume,
}


def _freezes(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        if run := freeze.marked_by(domain):
            yield Leftover(kind=LeftoverKind.FREEZE, run=run, name=domain.name())


def _backup_jobs(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        run = run_of(backup.mark_of(domain))
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
        temporary = label is not None and label.state is LabelState.TEMPORARY
        if label is not None and temporary and label.purpose is not Purpose.TWIN:
            yield Leftover(kind=LeftoverKind.DOMAIN, run=label.run, name=domain.name())


def _twins(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for name, label in twins.stale(connection):
        yield Leftover(kind=LeftoverKind.TWIN, run=label.run, name=name)


def _networks(connection: libvirt.virConnect) -> Iterator[Leftover]:
    for network in connection.listAllNetworks():
        if run := run_of(network.name()):
            yield Leftover(kind=LeftoverKind.NETWORK, run=run, name=network.name())


def _volumes(connection: libvirt.virConnect) -> Iterator[Leftover]:
    """List volumes of runs, but for what machines and volumes of others need.

    A finished machine keeps all that its run made: what its disks are now may be hidden from us,
    below a snapshot in a folder that libvirt does not show.
    """
    owned = _finished_runs(connection)
    found = [each for each in _named_after_runs(connection) if each[1].run not in owned]
    if not found:
        return
    uses = volume_users.survey(connection)
    kept = frozenset(path for user in uses.users if not user.own_of for path in uses.reach(user))
    for path, leftover in found:
        if path not in kept and not any(uses.of(path, own=leftover.run)):
            yield leftover


def _named_after_runs(connection: libvirt.virConnect) -> Iterator[tuple[str, Leftover]]:
    """List the volumes that are called after a run, with their paths."""
    for pool in pools.running(connection):
        for volume in pools.volumes_now(pool):
            name, run = volume.name(), run_of(volume.name())
            if run:
                kind = LeftoverKind.VOLUME
                there = Leftover(kind=kind, run=run, name=name, place=pool.name())
                yield normal_path(volume.path()), there


def _finished_runs(connection: libvirt.virConnect) -> frozenset[str]:
    """Name the runs whose machines are finished: those belong to somebody."""
    found = (domains.read_label(domain) for domain in connection.listAllDomains())
    return frozenset(label.run for label in found if label and label.state is LabelState.FINISHED)
