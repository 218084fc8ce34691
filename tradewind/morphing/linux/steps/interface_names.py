# SPDX-License-Identifier: Apache-2.0
"""Let network interfaces keep their names in the new machine."""

import re
from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.morphing.linux.network import early_network, name_pins, names
from tradewind.morphing.linux.network.names import Naming
from tradewind.morphing.linux.network.program import GuestNic
from tradewind.morphing.linux.network.survey import GuestNetwork, read, survey
from tradewind.ports import GuestTree

# ifcfg files and netplan's; ifupdown's hooks and options. Format: ethtool(8).
_ETHTOOL: Final = re.compile(
    r"^[^#\n]*\bethtool\s|^\s*ETHTOOL_OPT|^\s*(hardware-dma-ring|offload-|link-speed|ethernet-)",
    re.MULTILINE,
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the machine's NICs are known."""
    return bool(os.macs)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Tie each name that the configuration uses to the MAC address of its NIC.

    A name that nothing in the guest ties to an address is paired by order. With addresses that
    stay as they are (set_dhcp off), nothing is guessed when there are not as many names as NICs.
    """
    network = survey(guest, os)
    naming = names.naming(network, guess=options.set_dhcp)
    if not options.set_dhcp:
        _refuse_guessing(network, naming)
    told = (
        [] if options.set_dhcp else list(early_network.told(network.command_lines, network.texts))
    )
    if not naming.nics:
        return _nothing_to_tie(naming, told)
    wanted = name_pins.written(network.texts, network.present, naming.nics, network.macs)
    changed = files.write_changed(guest, network.texts, wanted)
    if changed:
        _prove(guest, network, naming.nics)
    summary = ", ".join(f"{nic.name} is {nic.mac}" for nic in naming.nics)
    remedy = "; ".join((*_remedies(naming, network), *told))
    return Outcome(changed=bool(changed), summary=summary, remedy=remedy)


def _refuse_guessing(network: GuestNetwork, naming: Naming) -> None:
    if naming.unpaired:
        raise MorphingError(
            f"the guest configures {', '.join(naming.unpaired)}, which nothing ties to a MAC "
            f"address, and the machine has {len(naming.free)} NICs that these could be "
            f"({', '.join(naming.free) or 'none'})",
            "remove the configuration of interfaces that are gone, or tie each name to its "
            "address (a .link file, HWADDR=, match: macaddress) on the source, and transfer "
            "again; or deploy with set_dhcp = true",
        )
    unmet = [f"{i.unmet_match} of {i.name or 'a NIC'}" for i in network.interfaces if i.unmet_match]
    unmet += [f"the name {pattern}" for pattern in names.unfit(network, naming)]
    if unmet:
        raise MorphingError(
            f"the guest's network is configured by what the new NICs do not have: {unmet[0]}",
            "match the MAC address instead on the source, and transfer again; or deploy with "
            "set_dhcp = true",
        )


def _nothing_to_tie(naming: Naming, told: Sequence[str]) -> Outcome:
    summary = "no interface is configured by its name"
    if naming.unpaired:
        summary = "names are left as they come"
        told = [_unpaired(naming), *told]
    return Outcome(changed=False, summary=summary, remedy="; ".join(told))


def _remedies(naming: Naming, network: GuestNetwork) -> list[str]:
    found = []
    guessed = [nic.name for nic in naming.paired] if len(network.macs) > 1 else []
    if guessed:
        found.append(
            f"{', '.join(guessed)}: given out by the order of the NICs; see that each is on its "
            "network"
        )
    made_up = [nic.name for nic in naming.fitted]
    if made_up:
        found.append(
            f"{', '.join(made_up)}: made up, so that the pattern in the configuration fits; "
            "see that nothing else uses the old name"
        )
    if naming.unpaired:
        found.append(_unpaired(naming))
    found += [
        f"{path} names a NIC by its old slot or driver"
        for path in name_pins.unmet_match(network.texts)
    ]
    found += [
        f"{path} sets what VirtIO may not know (ethtool)"
        for path, text in network.texts.items()
        if _ETHTOOL.search(text) and not path.endswith((".rules", ".link"))
    ]
    return found


def _unpaired(naming: Naming) -> str:
    return (
        f"{', '.join(naming.unpaired)} are configured, but the machine has {len(naming.free)} "
        "NICs that these could be"
    )


def _prove(guest: GuestTree, network: GuestNetwork, nics: Sequence[GuestNic]) -> None:
    given = name_pins.assigned(read(guest), network.present, network.macs)
    for nic in nics:
        if given.get(nic.mac) != nic.name:
            raise MorphingError(
                f"{nic.mac} gets the name {given.get(nic.mac)} from another file, not {nic.name}",
                "look into /etc/udev/rules.d and /etc/systemd/network on the source",
            )
