# SPDX-License-Identifier: Apache-2.0
"""Which NIC has which name in the guest, and how it keeps that name in another slot.

A NIC that moves from one PCI slot to another (enp0s3 → enp1s0) or gets another driver is renamed
by udev, and every file that names it is void. A .link file ties the old name to the MAC address,
which stays. Format: systemd.link(5).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing import files
from tradewind.morphing.network import ifupdown, netplan, networkd, networkmanager
from tradewind.ports import GuestTree

PERSISTENT_RULES: Final = "/etc/udev/rules.d/70-persistent-net.rules"
LINKS: Final = "/etc/systemd/network"

# ATTR{address}=="52:54:00:…", …, NAME="eth0"
_RULE: Final = re.compile(r'ATTR\{address\}=="([0-9a-fA-F:]{17})".*\bNAME="([^"%$]+)"')
_LINK_MAC: Final = re.compile(r"^(?:Permanent)?MACAddress=([0-9a-fA-F:]{17})\s*$", re.MULTILINE)
_LINK_NAME: Final = re.compile(r"^Name=(\S+)", re.MULTILINE)

# Path: interfaces without hardware (bridges, VLANs) have the same address and no bus path.
_LINK: Final = """\
# Written by Tradewind: the NIC keeps its name, whatever its slot and driver.
[Match]
MACAddress={mac}
Path=pci-* virtio-pci-*

[Link]
Name={name}
"""


@dataclass(frozen=True, slots=True)
class NamedNic:
    """A NIC and its name; `known` when the guest itself ties the two, else by order."""

    mac: str
    name: str
    known: bool


def read(guest: GuestTree) -> dict[str, str]:
    """Read every file of the guest that says something about its NICs."""
    texts = files.read(
        guest,
        PERSISTENT_RULES,
        f"{LINKS}/*.link",
        *ifupdown.PATTERNS,
        *networkd.PATTERNS,
        *netplan.PATTERNS,
        *networkmanager.PATTERNS,
    )
    elsewhere = ifupdown.elsewhere(texts)
    return texts | files.read(guest, *elsewhere) if elsewhere else texts


def named_nics(texts: Mapping[str, str], macs: Sequence[str]) -> tuple[NamedNic, ...]:
    """Pair the machine's NICs with the names the guest's configuration uses.

    Names that nothing ties to an address are given out by order: NICs in the machine's order,
    names in natural order, which is how both udev and the kernel count.
    """
    known = _tied(texts)
    macs = [mac.lower() for mac in macs]
    named = [NamedNic(mac, known[mac], known=True) for mac in macs if mac in known]
    taken = {nic.name for nic in named}
    free_macs = [mac for mac in macs if mac not in known]
    free_names = [name for name in configured_names(texts) if name not in taken]
    if len(free_names) <= len(free_macs):
        pairs = zip(free_macs, free_names, strict=False)
        named += [NamedNic(mac, name, known=False) for mac, name in pairs]
    return tuple(named)


def configured_names(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the interfaces with hardware that the guest's configuration mentions."""
    names = {
        *ifupdown.physical_names(texts),
        *networkd.physical_names(texts),
        *netplan.physical_names(texts),
    }
    return tuple(sorted(names, key=_natural))


def links(nics: Sequence[NamedNic]) -> dict[str, str]:
    """Write one .link file for each NIC."""
    return {
        f"{LINKS}/10-tradewind-{nic.mac.replace(':', '')}.link": _LINK.format(
            mac=nic.mac, name=nic.name
        )
        for nic in nics
    }


def _tied(texts: Mapping[str, str]) -> dict[str, str]:
    """Map MAC addresses to names where udev or a .link file (maybe ours) does so already."""
    tied = {mac.lower(): name for mac, name in _rules(texts.get(PERSISTENT_RULES, ""))}
    for path, text in texts.items():
        mac, name = _LINK_MAC.search(text), _LINK_NAME.search(text)
        if path.endswith(".link") and mac and name:
            tied[mac[1].lower()] = name[1]
    return tied


def _rules(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        match = _RULE.search(line)
        if match and not line.lstrip().startswith("#"):
            yield match[1], match[2]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(d or -1), text) for d, text in re.findall(r"(\d+)|(\D+)", name)]
