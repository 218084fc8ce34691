# SPDX-License-Identifier: Apache-2.0
"""Prove that what was written is read as it is meant."""

from typing import Final

from tradewind.errors import MorphingError
from tradewind.morphing.linux.network import ifupdown, netplan
from tradewind.morphing.linux.network.program import GuestNic, NetworkProgram, configures
from tradewind.morphing.linux.network.survey import GuestNetwork
from tradewind.ports import GuestTree

_HINT: Final = "configure this network by hand on the source, or deploy with set_dhcp = false"


def prove_asking(guest: GuestTree, network: GuestNetwork, nics: tuple[GuestNic, ...]) -> None:
    """Prove that every NIC asks for its address, is part of something, or is kept off on purpose.

    `network` is what was read after the change.
    """
    for program in network.available:
        left = program.to_dhcp(network.texts)
        static = [i.name or i.mac for i in program.interfaces(network.texts) if i.static]
        if static or left.texts or left.gone:
            what = ", ".join((*static, *left.texts, *left.gone))
            raise MorphingError(f"{program.NAME}: {what} still has fixed addresses", _HINT)
    for nic in nics:
        its = [i for i in network.interfaces if configures(i, nic, network.unnamed)]
        if not any(i.dhcp or i.is_port_or_parent or i.off for i in its):
            raise MorphingError(f"nothing makes {nic.name or nic.mac} ask for its address", _HINT)
    prove_readable(guest, network)


def prove_readable(guest: GuestTree, network: GuestNetwork) -> None:
    """Ask the guest's own programs whether they can read their files, where they can say so."""
    for program in network.in_use:
        command = _reading(program, network)
        if command:
            guest.run(command)


def _reading(program: NetworkProgram, network: GuestNetwork) -> list[str]:
    if program is ifupdown:
        names = ifupdown.queried(network.texts)
        return ["ifquery", *names] if names else []
    if program is netplan:
        # Writes below /run only, which is empty and goes when the guest is unmounted.
        return [next((p for p in netplan.GENERATORS if p in network.present), "netplan-generate")]
    return []
