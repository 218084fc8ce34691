# SPDX-License-Identifier: Apache-2.0
"""What tells the new machine from others: its name, its NICs' addresses; and its processor."""

import re
from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.domainxml import attached
from tradewind.domainxml.firmware import ARCHITECTURE, NARROW, architecture
from tradewind.errors import BadInputError
from tradewind.host.domain import domains
from tradewind.model.mac import read_mac
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import LabelState

# Libvirt names files after a machine: <name>.xml.new, <name>_VARS.fd, and we <name>-console.log.
# A file's name has 255 bytes.
_LONGEST: Final = 240
# https://libvirt.org/formatdomain.html#general-metadata; the rest would lead out of a folder, or
# not be in XML at all (https://www.w3.org/TR/xml/#charsets).
_UNFIT: Final = re.compile(r"[/\n\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_MULTICAST: Final = 0x01
_ANOTHER_NAME: Final = "give the new one another name (`name` in the request)"


def require_name(name: str) -> None:
    """Raise BadInputError for a name that libvirt does not take, or cannot make files of."""
    if _UNFIT.search(name) or name in {"", ".", ".."}:
        raise BadInputError(
            f"“{name}” cannot be a machine's name: libvirt calls files after it, and takes no"
            " slash, no new line and no control character",
            _ANOTHER_NAME,
            evidence="the name that the new machine would have",
        )
    if len(name.encode()) > _LONGEST:
        raise BadInputError(
            f"the machine's name is {len(name.encode())} bytes long, and libvirt's files that are"
            f" called after it have room for {_LONGEST}",
            _ANOTHER_NAME,
            evidence=f"the name that the new machine would have: {name[:40]}…",
        )


def require_addresses(machine: VirtualMachine) -> None:
    """Raise BadInputError for a MAC address that no NIC can have."""
    for number, nic in enumerate(machine.nics, start=1):
        fits = read_mac(nic.mac)
        if not fits or int(fits[:2], 16) & _MULTICAST:
            why = "is for several receivers" if fits else "is none"
            raise BadInputError(
                f"NIC {number} of {machine.name}: the MAC address “{nic.mac}” {why}, and libvirt"
                " refuses it",
                "give it one such as 52:54:00:12:34:56 on the source, and in the guest's own"
                " network configuration",
                evidence=f"the source's description of {machine.name}",
            )


def require_architecture(machine: VirtualMachine) -> None:
    """Raise BadInputError for a machine that is no PC."""
    found = architecture(machine.description)
    if found not in {ARCHITECTURE, NARROW}:
        raise BadInputError(
            f"{machine.name} is a machine of architecture {found}, and Tradewind makes PCs of"
            f" {ARCHITECTURE}: its system would not start",
            f"install the system anew on a machine of {ARCHITECTURE}, and move its data",
            evidence=f"virsh dumpxml {machine.name}: os/type/@arch is {found}",
        )


def shared_addresses(connection: libvirt.virConnect, machine: VirtualMachine) -> tuple[str, ...]:
    """Say which machines of the host have a MAC address of this one; the same UUID is the same."""
    ours = [nic.mac for nic in machine.nics]
    found = [
        f"NIC {mac}: machine {name} on {connection.getHostname()} has a NIC of the same address;"
        " they must not run on one network together."
        for name, theirs in _addresses(connection, machine)
        for mac in dict.fromkeys(ours)
        if mac in theirs
    ]
    twice = [mac for mac in dict.fromkeys(ours) if ours.count(mac) > 1]
    return (*found, *(f"Several NICs have the address {mac}, as on the source." for mac in twice))


def _addresses(
    connection: libvirt.virConnect, machine: VirtualMachine
) -> Iterator[tuple[str, frozenset[str]]]:
    for domain in connection.listAllDomains():
        label = domains.read_label(domain)
        if domain.UUIDString() == machine.id or (label and label.state is LabelState.TEMPORARY):
            continue  # itself, or one of ours that is gone soon: a twin, a rehearsal
        try:
            yield domain.name(), attached.nics_of(domains.definition(domain))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:  # it ended meanwhile
                raise
