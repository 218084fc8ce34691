# SPDX-License-Identifier: Apache-2.0
"""Networks by systemd-networkd: .network files. Format: systemd.network(5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

FOLDER: Final = "/etc/systemd/network"
PATTERNS: Final = (f"{FOLDER}/*.network",)
UNIT: Final = "systemd-networkd.service"

_OURS: Final = f"{FOLDER}/05-tradewind-"
_FILE: Final = """\
# Written by Tradewind: comes before the files of the old network.
[Match]
MACAddress={mac}
Path=pci-* virtio-pci-*

[Network]
DHCP=yes
"""
_MEMBER: Final = re.compile(r"^(Bridge|Bond|VLAN|MACVLAN|VXLAN|VRF)=(.*)$", re.MULTILINE)
_NAME: Final = re.compile(r"^Name=(.*)$", re.MULTILINE)


def physical_names(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the interfaces that files match by a plain name."""
    names: list[str] = []
    for text in _networks(texts):
        for match in _NAME.finditer(text):
            names += [n for n in match[1].split() if re.fullmatch(r"(en|eth|wl)[a-z0-9]*", n)]
    return tuple(dict.fromkeys(names))


def asking(macs: Sequence[str]) -> dict[str, str]:
    """Write one file for each NIC."""
    return {f"{_OURS}{mac.replace(':', '')}.network": _FILE.format(mac=mac) for mac in macs}


def stacked(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the bridges, bonds and VLANs that NICs are part of: those have the addresses."""
    return tuple(
        f"{match[1]} {match[2]}" for text in _networks(texts) for match in _MEMBER.finditer(text)
    )


def _networks(texts: Mapping[str, str]) -> Iterator[str]:
    for path, text in texts.items():
        if path.startswith(FOLDER) and path.endswith(".network") and not path.startswith(_OURS):
            yield text
