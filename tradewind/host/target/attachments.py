# SPDX-License-Identifier: Apache-2.0
"""What a created machine gets beside its disks: a config drive, and its UEFI variables.

Both are small volumes beside the disks, named after the run like the clones: undone with the
deployment, and kept while a finished machine uses them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.domainxml.final import final_domain
from tradewind.domainxml.native import firmware_file
from tradewind.errors import HypervisorError, NotFoundError
from tradewind.host import host_files, storage
from tradewind.host.facts import for_machine
from tradewind.host.storage.naming import safe_name
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
    """What the host offers, and what is asked for; `spare_pool` is a pool of files."""

    facts: HostFacts
    spare_pool: str
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
    chosen = _chosen_loader(connection, spec.machine, final)
    reason = misfit(connection, variables, (chosen,) if chosen else facts.loaders)
    if reason:
        return final.model_copy(update={"notes": (*final.notes, _STAYS.format(why=reason))})
    path = _put(connection, pool, f"{stem}-nvram.fd", variables.content())
    return final.model_copy(update={"nvram": path})


def _pool_beside(
    connection: libvirt.virConnect, volumes: Sequence[ReplicaVolume], spare: str
) -> str:
    """Choose the pool of the first disk that lies in a pool of files, else the spare one."""
    pools = (volume.volume.pool for volume in volumes)
    files = (pool for pool in pools if storage.pool_type(connection, pool) in storage.FILE_POOLS)
    return next(files, spare)


def _chosen_loader(
    connection: libvirt.virConnect, machine: VirtualMachine, final: FinalDomain
) -> str | None:
    """Name the firmware that libvirt would start the machine with; None when it does not tell.

    A host may have many: of 2 and 4 MiB, for Secure Boot, SEV or TDX, some of them without room
    for variables. Which one fits the machine is libvirt's choice, made anew at each start. Asked
    for QEMU's command line, it makes that choice and nothing else.
    """
    try:
        command_line = connection.domainXMLToNative("qemu-argv", final_domain(machine, final))
    except libvirt.libvirtError:
        return None
    return firmware_file(command_line)


def misfit(connection: libvirt.virConnect, variables: UefiVariables, loaders: Sequence[str]) -> str:
    """Return why the host's firmware cannot use a variable store; empty when each of it can.

    Code and variables of edk2 are the two parts of one flash image, whose size is a power of two
    (OvmfPkg/*.fdf); QEMU maps them one below the other. So they fit when their sizes add up to
    one: 3568 and 528 KiB, or 1920 and 128.
    """
    try:
        parts = [host_files.describe(connection, loader) for loader in loaders]
    except NotFoundError as error:
        return f"the host's firmware cannot be measured ({error.message})"
    other = [part.path for part in parts if part.format != "raw"]
    if other:
        return f"the host's firmware {other[0]} is no raw file"
    unfit = [part.path for part in parts if not _is_power(part.capacity + variables.size)]
    if unfit or not parts:
        return f"they are made for another firmware than the host's ({', '.join(unfit) or 'none'})"
    return ""


def _usable(final: FinalDomain, machine: VirtualMachine) -> UefiVariables | None:
    chosen = final.hardware
    same = chosen.firmware_of(machine.firmware) == machine.firmware
    uefi = machine.firmware.kind is FirmwareKind.UEFI
    return machine.variables if uefi and same and chosen.keep_uefi_variables else None


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0


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
