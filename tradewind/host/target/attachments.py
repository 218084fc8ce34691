# SPDX-License-Identifier: Apache-2.0
"""What a created machine gets beside its disks: a config drive, and its UEFI variables.

Both are small volumes beside the disks, named after the run like the clones: undone with the
deployment, and kept while a finished machine uses them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.errors import HypervisorError
from tradewind.host import storage
from tradewind.host.facts import for_machine
from tradewind.host.storage.naming import safe_name
from tradewind.host.target import variable_store
from tradewind.host.target.config_drive import config_drive
from tradewind.host.target.domain_plan import DeploySpec
from tradewind.model.deploy import FinalDomain
from tradewind.model.host import HostFacts
from tradewind.model.machine import FirmwareKind, VirtualMachine
from tradewind.model.run import labelled_name
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.model.uefi import UefiVariables

_STAYS: Final = "The UEFI variables of the source are not used: {why}."


@dataclass(frozen=True, slots=True)
class HostOffer:
    """What the host offers, and what is asked for; `spare_pool` is a pool of files.

    `pack` makes a qcow2 image of raw bytes, for firmware that keeps its variables in one. Its
    second argument is what the image is called, for people.
    """

    facts: HostFacts
    spare_pool: str
    pack: Callable[[bytes, str], bytes]
    with_config_drive: bool = False


def with_attachments(
    connection: libvirt.virConnect, spec: DeploySpec, final: FinalDomain, offer: HostOffer
) -> FinalDomain:
    """Put in place what the machine gets beside its disks, each proven by reading it back."""
    pool = _pool_beside(connection, spec.volumes, offer.spare_pool)
    stem = labelled_name(spec.label.run, safe_name(final.name))
    if offer.with_config_drive:
        drive = config_drive(final.uuid or spec.machine.id, final.name)
        path = _put(connection, pool, f"{stem}-config.iso", drive)
        final = final.model_copy(update={"config_drive": path})
    variables = _usable(final, spec.machine)
    if variables is None:
        return final
    facts = for_machine(connection, offer.facts, final.hardware.machine_type)
    chosen = variable_store.choose(connection, spec.machine, final, facts.loaders)
    reason = variable_store.misfit(chosen, variables)
    if reason:
        return final.model_copy(update={"notes": (*final.notes, _STAYS.format(why=reason))})
    packed = chosen.format == "qcow2"
    name = f"{stem}-nvram.{'qcow2' if packed else 'fd'}"
    content = variables.content()
    path = _put(connection, pool, name, offer.pack(content, name) if packed else content)
    return final.model_copy(update={"nvram": path, "nvram_format": chosen.format})


def _pool_beside(
    connection: libvirt.virConnect, volumes: Sequence[ReplicaVolume], spare: str
) -> str:
    """Choose the pool of the first disk that lies in a pool of files, else the spare one."""
    pools = (volume.volume.pool for volume in volumes)
    files = (pool for pool in pools if storage.pool_type(connection, pool) in storage.FILE_POOLS)
    return next(files, spare)


def _usable(final: FinalDomain, machine: VirtualMachine) -> UefiVariables | None:
    chosen = final.hardware
    same = chosen.firmware_of(machine.firmware) == machine.firmware
    uefi = machine.firmware.kind is FirmwareKind.UEFI
    return machine.variables if uefi and same and chosen.keep_uefi_variables else None


def _put(connection: libvirt.virConnect, pool: str, name: str, content: bytes) -> str:
    """Make a volume of this content; one that a broken attempt left is made anew."""
    volume = Volume(pool=pool, name=name, capacity=len(content), format="raw")
    storage.delete_volume(connection, volume.pool, volume.name)
    storage.create_volume(connection, volume)
    storage.upload_bytes(connection, volume, content)
    there = storage.download_digest(connection, volume.pool, volume.name, len(content))
    if there != hashlib.sha256(content).hexdigest():
        raise HypervisorError(f"volume {volume.name} does not hold what was sent into it")
    return storage.volume_path(connection, volume)
