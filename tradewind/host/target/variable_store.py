# SPDX-License-Identifier: Apache-2.0
"""Which firmware a created machine starts with, and whether it can use the variables of the old."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.domainxml import native
from tradewind.domainxml.final import final_domain
from tradewind.domainxml.native import ChosenFirmware
from tradewind.domainxml.volume import VolumeFacts
from tradewind.errors import NotFoundError
from tradewind.host import host_files
from tradewind.model.deploy import FinalDomain
from tradewind.model.machine import VirtualMachine
from tradewind.model.uefi import UefiVariables

_FORMATS: Final = ("raw", "qcow2")


@dataclass(frozen=True, slots=True)
class LoaderChoice:
    """The firmware's files, and the format that they want their store in.

    `unmeasured` says why there are no files.
    """

    code: tuple[VolumeFacts, ...]
    format: str
    unmeasured: str = ""


def choose(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    final: FinalDomain,
    loaders: Sequence[str],
) -> LoaderChoice:
    """Find the firmware that libvirt would start the machine with, or each that it may choose.

    A host may have many: of 2 and 4 MiB, raw and qcow2, for Secure Boot, SEV or TDX, some of them
    without room for variables. Which one fits the machine is libvirt's choice, made anew at each
    start. Asked for QEMU's command line, it makes that choice and nothing else.
    """
    chosen = _chosen(connection, machine, final)
    try:
        code = [
            host_files.describe(connection, loader)
            for loader in (loaders if chosen is None else [chosen.code])
        ]
    except NotFoundError as error:
        return LoaderChoice((), "", error.message)
    # Where nothing is said, a store has the format of the code beside it (qemu_firmware.c).
    said = chosen.store_format if chosen else ""
    return LoaderChoice(tuple(code), said or (code[0].format if code else ""))


def _chosen(
    connection: libvirt.virConnect, machine: VirtualMachine, final: FinalDomain
) -> ChosenFirmware | None:
    try:
        command_line = connection.domainXMLToNative("qemu-argv", final_domain(machine, final))
    except libvirt.libvirtError:
        return None
    return native.firmware(command_line)


def misfit(wanted: LoaderChoice, variables: UefiVariables) -> str:
    """Say why the host's firmware cannot use a variable store; empty when each of it can.

    Code and variables of edk2 are the two parts of one flash image, whose size is a power of two
    (OvmfPkg/*.fdf); QEMU maps them one below the other. So they fit when their sizes add up to
    one: 3568 and 528 KiB, or 1920 and 128. The size is that of the flash, whatever the format.
    """
    if wanted.unmeasured:
        return f"the host's firmware cannot be measured ({wanted.unmeasured})"
    other = [part for part in wanted.code if part.format not in _FORMATS]
    if other:
        return f"the host's firmware {other[0].path} is a file of format {other[0].format}"
    if wanted.code and wanted.format not in _FORMATS:
        return f"the host's firmware keeps them in format {wanted.format or 'unknown'}"
    if {part.format for part in wanted.code} == set(_FORMATS):
        return "libvirt does not tell which firmware it will choose, a raw or a qcow2 one"
    unfit = [p.path for p in wanted.code if not _is_power(p.capacity + variables.size)]
    if unfit or not wanted.code:
        return f"they are made for another firmware than the host's ({', '.join(unfit) or 'none'})"
    return ""


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0
