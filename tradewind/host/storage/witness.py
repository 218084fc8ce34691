# SPDX-License-Identifier: Apache-2.0
"""A small volume beside each replica volume that says whose it is (decision 0013).

    web01-cafe0001-sda.qcow2             the replica of a disk
    web01-cafe0001-sda.qcow2.tradewind   its witness, 512 bytes: transfer, generation, run, state

A pool of bare blocks cannot hold so small a thing: there it lies in the pool of the worker image,
and bears the name of its volume's pool too. What cannot be read counts as missing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import libvirt
from pydantic import ValidationError

from tradewind.errors import BusyError
from tradewind.host.storage import contents, pools, volumes
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume, Volume, Witness, WitnessState

SUFFIX: Final = ".tradewind"

Spare = Callable[[], str]


@dataclass(frozen=True, slots=True)
class ExaminedVolumes:
    """The volumes that are this transfer's, and what to tell.

    Of `doubted` disks nothing counts that the ledger knows of their contents; those in `given`
    are no part of the replica: their volumes belong to a machine by now.
    """

    volumes: tuple[ReplicaVolume, ...]
    doubted: tuple[str, ...]
    given: tuple[str, ...]
    notes: tuple[str, ...]


def read(connection: libvirt.virConnect, volume: Volume) -> Witness | None:
    """Read a volume's witness; None when it has none that can be read."""
    return next(
        filter(None, (_content(connection, found) for found in _find(connection, volume))), None
    )


def write(
    connection: libvirt.virConnect,
    run: Run,
    replica: ReplicaVolume,
    state: WitnessState,
    spare: Spare,
) -> None:
    """Say what was done to a volume: by the run that its record names, or that gives it away."""
    volume = replica.volume
    last = run.id if state is WitnessState.GIVEN else replica.writer or run.id
    said = Witness(
        transfer=run.transfer,
        pool=volume.pool,
        volume=volume.name,
        generation=replica.generation,
        run=last,
        state=state,
        at=datetime.now(UTC),
    )
    content = said.model_dump_json().encode().ljust(contents.NOTE)
    there = next(_find(connection, volume), None)
    if there is None:
        pool = volume.pool if _holds_files(connection, volume.pool) else spare()
        made = Volume(pool=pool, name=_name(volume, pool), capacity=len(content), format="raw")
        volumes.create_volume(connection, made)
        there = volumes.require_volume(connection, made.pool, made.name)
    contents.overwrite_note(connection, there, content)


def remove(connection: libvirt.virConnect, volume: Volume) -> None:
    """Remove the witness of a volume that is gone; nothing happens when there is none."""
    for found in _find(connection, volume):
        pool = found.storagePoolLookupByVolume()
        volumes.delete_volume(connection, pool.name(), found.name())


def examine(
    connection: libvirt.virConnect, transfer: str, known: Sequence[ReplicaVolume]
) -> ExaminedVolumes:
    """Compare what the ledger knows of volumes that are there with what they say themselves.

    BusyError: one is another transfer's. One of another generation is this transfer's still, but
    nothing that the ledger knows of its contents counts.
    """
    volumes, doubted, given, notes = list[ReplicaVolume](), list[str](), list[str](), list[str]()
    for replica in known:
        said = read(connection, replica.volume)
        _refuse_foreign(connection, transfer, replica, said)
        if said is not None and said.state is WitnessState.GIVEN:
            given.append(replica.disk_id)
            notes.append(
                f"volume {replica.volume.name} is left alone, which this ledger takes for a"
                f" replica's (it is older): {said}"
            )
        elif doubt := _doubt(replica, said):
            volumes.append(doubtful(replica))
            doubted.append(replica.disk_id)
            notes.append(f"{doubt}: all of it is compared, and nothing is taken on trust")
        else:
            volumes.append(replica)
    return ExaminedVolumes(tuple(volumes), tuple(doubted), tuple(given), tuple(notes))


def doubtful(replica: ReplicaVolume) -> ReplicaVolume:
    """Count nothing of what is known of a volume's contents."""
    return replica.model_copy(update={"blank": False, "base": None, "exact": False})


def require_known(
    connection: libvirt.virConnect, transfer: str, known: Sequence[ReplicaVolume]
) -> None:
    """BusyError when volumes hold something else than the ledger says, or are somebody else's."""
    examined = examine(connection, transfer, known)
    # A volume from before there were witnesses cannot say anything.
    made = {replica.disk_id for replica in known if replica.generation > 0}
    if made & {*examined.doubted, *examined.given}:
        raise BusyError(
            f"the replica on {connection.getHostname()} is not what this ledger knows:"
            f" {'; '.join(examined.notes)}",
            "the ledger is another one or an older one; run the transfer: it mends both",
        )


def opened(
    connection: libvirt.virConnect, run: Run, replicas: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Give what a run is about to write a number past all there were.

    BusyError: a volume is another transfer's, or something but this run uses it.
    """
    volumes.require_unused(connection, [each.volume for each in replicas], own=run.id)
    return tuple(_next(connection, run, replica) for replica in replicas)


def write_all(
    connection: libvirt.virConnect,
    run: Run,
    replicas: Sequence[ReplicaVolume],
    state: WitnessState,
    spare: Spare,
) -> None:
    """Say the same of several volumes."""
    for replica in replicas:
        write(connection, run, replica, state, spare)


def orphans(connection: libvirt.virConnect) -> Iterator[tuple[str, str, Witness]]:
    """Find witnesses whose volume is gone: pool, name and what they say."""
    running = {pool.name(): pool for pool in pools.running(connection)}
    names = {
        name: {volume.name() for volume in pool.listAllVolumes()} for name, pool in running.items()
    }
    for pool, there in names.items():
        for name in there:
            if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) not in there:
                found = volumes.find_volume(connection, pool, name)
                said = found and _content(connection, found)
                if said and said.pool in names and said.volume not in names[said.pool]:
                    yield pool, name, said


def _next(connection: libvirt.virConnect, run: Run, replica: ReplicaVolume) -> ReplicaVolume:
    said = read(connection, replica.volume)
    _refuse_foreign(connection, run.transfer, replica, said)
    last = max(replica.generation, said.generation if said else 0)
    return replica.model_copy(update={"generation": last + 1, "writer": run.id})


def _refuse_foreign(
    connection: libvirt.virConnect, transfer: str, replica: ReplicaVolume, said: Witness | None
) -> None:
    volume = replica.volume
    where = f"volume {volume.name} in pool {volume.pool} on {connection.getHostname()}"
    if said is None:
        if f"-{transfer}-" not in volume.name:
            raise BusyError(
                f"{where} has no witness, and is not called as volumes of transfer {transfer} are;"
                f" the ledger says that it holds disk {replica.disk_id} of that transfer",
                "the ledger is not the one that made it, or was changed: use the right one",
            )
    elif said.transfer != transfer or (said.pool, said.volume) != (volume.pool, volume.name):
        raise BusyError(
            f"{where} belongs to transfer {said.transfer} ({said.pool}/{said.volume}, {said});"
            f" the ledger says that it holds disk {replica.disk_id} of transfer {transfer}",
            "use the ledger that made it; or, when nobody needs it any more:"
            f" virsh vol-delete {volume.name} {volume.pool}",
        )


def _doubt(replica: ReplicaVolume, said: Witness | None) -> str:
    name = replica.volume.name
    if said is None and replica.generation == 0:
        return f"volume {name} is adopted: a version before this one made it, without a witness"
    if said is None:
        return f"the witness of volume {name} is gone"
    if (said.generation, said.run) != (replica.generation, replica.writer):
        known = f"generation {replica.generation} by run {replica.writer or 'unknown'}"
        return f"volume {name} holds {said}, and the ledger knows {known} (it is of another day)"
    return ""


def _find(connection: libvirt.virConnect, volume: Volume) -> Iterator[libvirt.virStorageVol]:
    """Find where a volume's witness is; the pool of worker images may have changed since."""
    if _holds_files(connection, volume.pool):
        candidates = [volume.pool]
    else:
        candidates = [
            pool.name()
            for pool in pools.running(connection)
            if pools.pool_type(connection, pool.name()) in pools.FILE_POOLS
        ]
    for pool in candidates:
        found = volumes.find_volume(connection, pool, _name(volume, pool))
        if found is not None:
            yield found


def _name(volume: Volume, pool: str) -> str:
    beside = pool == volume.pool
    return f"{volume.name}{SUFFIX}" if beside else f"{volume.pool}-{volume.name}{SUFFIX}"


def _holds_files(connection: libvirt.virConnect, pool: str) -> bool:
    return pools.pool_type(connection, pool) in pools.FILE_POOLS


def _content(connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> Witness | None:
    if volumes.describe_volume(volume).capacity > contents.NOTE:
        return None
    try:
        return Witness.model_validate_json(contents.download_all(connection, volume, contents.NOTE))
    except ValidationError:
        return None
