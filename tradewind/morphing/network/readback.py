# SPDX-License-Identifier: Apache-2.0
"""Prove that what was written is read as it is meant."""

from typing import Final

from tradewind.errors import MorphingError
from tradewind.morphing.network import ifupdown, netplan
from tradewind.morphing.network.program import Nic, Program, configures
from tradewind.morphing.network.survey import Network
from tradewind.ports import GuestTree

_HINT: Final = "configure this network by hand on the source, or deploy with set_dhcp = false"


def prove_asking(guest: GuestTree, network: Network, nics: tuple[Nic, ...]) -> None:
    """Prove that every NIC asks for its address, or is part of something; `network` is new."""
    for program in network.able:
        left = program.asking(network.texts)
        fixed = [i.name or i.mac for i in program.interfaces(network.texts) if i.fixed]
        if fixed or left.texts or left.gone:
            what = ", ".join((*fixed, *left.texts, *left.gone))
            raise MorphingError(f"{program.NAME}: {what} still has fixed addresses", _HINT)
    for nic in nics:
        its = [i for i in network.interfaces if configures(i, nic)]
        if not any(i.asks or i.serves for i in its):
            raise MorphingError(f"nothing makes {nic.name or nic.mac} ask for its address", _HINT)
    prove_readable(guest, network)


def prove_readable(guest: GuestTree, network: Network) -> None:
    """Ask the guest's own programs whether they can read their files, where they can say so."""
    for program in network.in_use:
        command = _reading(program, network)
        if command:
            guest.run(command)


def _reading(program: Program, network: Network) -> list[str]:
    if program is ifupdown:
        names = ifupdown.queried(network.texts)
        return ["ifquery", *names] if names else []
    if program is netplan:
        # Writes below /run only, which is empty and goes when the guest is unmounted.
        return [next((p for p in netplan.GENERATORS if p in network.present), "netplan-generate")]
    return []
