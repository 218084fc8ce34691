# SPDX-License-Identifier: Apache-2.0
"""Networks that nothing leaves, for rehearsals."""

import contextlib

import libvirt

from tradewind.domainxml import network as network_xml
from tradewind.errors import BadInputError, HypervisorError, NotFoundError


def make_isolated(connection: libvirt.virConnect, name: str, subnet: str) -> None:
    """Make a network without a way out, with addresses from `subnet` ("192.168.231.0/24").

    It is transient: a host that restarts has forgotten it. Libvirt chooses its bridge.
    """
    if find(connection, name) is None:  # else: a retried step
        try:
            connection.networkCreateXML(network_xml.isolated_network(name, subnet))
        except libvirt.libvirtError as error:
            raise HypervisorError(
                f"network {name} cannot be made on {connection.getHostname()}: {error}",
                f"if {subnet} is in use there, name another rehearsal_subnet; or name an isolated"
                " network that exists (rehearsal_network)",
            ) from None
    require_isolated(connection, name)


def require_isolated(connection: libvirt.virConnect, name: str) -> None:
    """Raise unless a network runs and nothing leaves it: addresses may then be there twice."""
    network = find(connection, name)
    if network is None or not network.isActive():
        running = sorted(each.name() for each in connection.listAllNetworks() if each.isActive())
        raise NotFoundError(
            f"no network “{name}” runs on {connection.getHostname()}",
            f"there are: {', '.join(running) or 'none'}; or leave rehearsal_network empty",
        )
    leads = network_xml.ways_out(network.XMLDesc())
    if leads:
        raise BadInputError(
            f"network “{name}” on {connection.getHostname()} is not isolated: {leads}",
            "a rehearsal there would be seen beside the original; leave rehearsal_network empty,"
            " and a network is made for it",
        )


def remove(connection: libvirt.virConnect, name: str) -> None:
    """End a network and forget it; nothing happens when there is none."""
    network = find(connection, name)
    if network is None:
        return
    if network.isActive():
        network.destroy()
    with contextlib.suppress(libvirt.libvirtError):  # a transient one is gone with its end
        network.undefine()


def find(connection: libvirt.virConnect, name: str) -> libvirt.virNetwork | None:
    """Look up a network; None when there is none."""
    return next((each for each in connection.listAllNetworks() if each.name() == name), None)
