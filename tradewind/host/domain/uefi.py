# SPDX-License-Identifier: Apache-2.0
"""Read the UEFI variables of a machine from the file in which its host keeps them."""

from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.domainxml.machine import variables_file
from tradewind.errors import NotFoundError
from tradewind.host import host_files
from tradewind.model.machine import FirmwareKind, VirtualMachine
from tradewind.model.uefi import LARGEST

# Where libvirt puts the file of a machine that was never started by a newer one than 9.0, which
# writes the place into the definition.
_USUAL: Final = "/var/lib/libvirt/qemu/nvram/{name}_VARS.fd"
_FORMATS: Final = ("raw", "qcow2")


@dataclass(frozen=True, slots=True)
class Store:
    """A variable store as its host keeps it: all bytes of the file, and their format."""

    path: str
    content: bytes
    format: str


def read_store(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> Store | None:
    """Read it; None when the machine has none. NotFoundError: it cannot be had.

    The description's format is believed, not the file's first bytes: a guest writes to its flash.
    """
    if machine.firmware.kind is not FirmwareKind.UEFI:
        return None
    # A running machine's own description knows what libvirt chose when it started.
    named = variables_file(domain.XMLDesc())
    path = named.path or _USUAL.format(name=machine.name)
    if named.format not in _FORMATS:
        raise NotFoundError(f"{path} is of format {named.format}, which is not known here")
    return Store(path, host_files.read(connection, path, LARGEST, named.format), named.format)
