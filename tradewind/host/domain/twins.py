# SPDX-License-Identifier: Apache-2.0
"""Twins: domains that are defined for a moment so that libvirt judges them, and never run.

A twin bears a label of its own purpose. Whoever defines it undefines it in the next call; where the
process is killed in between, the next twin on that host or the sweep removes it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import libvirt

from tradewind.cleanup import cleanup_on_exit
from tradewind.host.domain import domains
from tradewind.host.refusals import may_accept_less
from tradewind.model.run import Label, Purpose, labelled_name

# A twin is there for some milliseconds. One of this age was left, whatever the clocks say.
STALE: Final = timedelta(minutes=10)
# Libvirt keeps <name>.xml.new in a folder, whose names have 255 bytes.
_LONGEST: Final = 200


def name_of(label: Label, name: str) -> str:
    """Name the twin of a domain: after its run, and after the domain, which libvirt judges too."""
    whole = labelled_name(label.run, f"{label.purpose}-{name}")
    return whole.encode()[:_LONGEST].decode(errors="ignore")


def judge(
    connection: libvirt.virConnect, xml: str, name: str, *, validate: bool = True
) -> libvirt.libvirtError | None:
    """Define a twin and undefine it; return what libvirt objects to.

    Without `validate` it is not held against the schema, whose refusals do not say what is wrong.
    """
    flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE if validate else 0
    undefine = f"domain {name}, which was defined to be looked at"
    with cleanup_on_exit(lambda: domains.destroy(connection, name), what=undefine):
        try:
            connection.defineXMLFlags(xml, flags)
        except libvirt.libvirtError as error:
            if not may_accept_less(error):
                raise
            return error
    return None


def start_objection(connection: libvirt.virConnect, xml: str) -> str:
    """Return why libvirt would not start a domain; empty when it would, or does not tell.

    It writes the command line that it would start QEMU with, which makes nothing on the host:
    virConnectDomainXMLToNative. A CPU mode or feature that this QEMU lacks shows only here.
    """
    try:
        connection.domainXMLToNative("qemu-argv", xml, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_CONFIG_UNSUPPORTED:
            return str(error.get_error_message())
    return ""


def stale(connection: libvirt.virConnect) -> Iterator[tuple[str, Label]]:
    """List the twins that a killed process left, with their labels."""
    for domain in connection.listAllDomains():
        label = domains.read_label(domain)
        if label is not None and label.purpose is Purpose.TWIN and _is_stale(label):
            yield domain.name(), label


def remove_stale(connection: libvirt.virConnect) -> None:
    """Remove the twins that a killed process left."""
    for name, _label in list(stale(connection)):
        domains.destroy(connection, name)


def _is_stale(label: Label) -> bool:
    return datetime.now(UTC) - label.created > STALE
