# SPDX-License-Identifier: Apache-2.0
"""Read the UEFI variables of a machine from the file in which its host keeps them."""

import libvirt

from tradewind.domainxml.machine import variables_file
from tradewind.errors import NotFoundError
from tradewind.host import host_files
from tradewind.model.machine import FirmwareKind, VirtualMachine
from tradewind.model.uefi import LARGEST, UefiVariables

# Where libvirt puts the file of a machine that was never started by a newer one than 9.0, which
# writes the place into the definition.
_USUAL = "/var/lib/libvirt/qemu/nvram/{name}_VARS.fd"


def read_variables(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> tuple[UefiVariables | None, tuple[str, ...]]:
    """Read them; None and a sentence when they cannot be had, None alone when there are none."""
    if machine.firmware.kind is not FirmwareKind.UEFI:
        return None, ()
    # A running machine's own description knows what libvirt chose when it started.
    path = variables_file(domain.XMLDesc()) or _USUAL.format(name=machine.name)
    try:
        return UefiVariables.of(host_files.read(connection, path, LARGEST)), ()
    except NotFoundError as error:
        return None, (f"The source does not give its UEFI variables away: {error.message}.",)
