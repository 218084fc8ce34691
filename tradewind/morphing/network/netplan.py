# SPDX-License-Identifier: Apache-2.0
"""Networks by Netplan: YAML files that all count together. Format: netplan(5).

Only the outline of a file is read: which sections there are, and the names below `ethernets`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

FOLDER: Final = "/etc/netplan"
PATTERNS: Final = (f"{FOLDER}/*.yaml",)
OURS: Final = f"{FOLDER}/90-tradewind.yaml"

_ETHERNETS: Final = re.compile(r"^\s+ethernets:", re.MULTILINE)
_STACKED: Final = re.compile(r"^\s+(bridges|bonds|vlans|tunnels|vrfs):", re.MULTILINE)
_RENDERER: Final = re.compile(r"^\s+renderer:\s*(\w+)", re.MULTILINE)
_NAME: Final = re.compile(r"(en|eth)[a-z0-9]*")


def files(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files that configure NICs."""
    return tuple(path for path, text in _plans(texts).items() if _ETHERNETS.search(text))


def physical_names(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the NICs that are configured by name."""
    names = [name for text in _plans(texts).values() for name in _ethernets(text)]
    return tuple(dict.fromkeys(name for name in names if _NAME.fullmatch(name)))


def stacked(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the kinds of interfaces that are built upon NICs: those have the addresses."""
    kinds = {m[1] for text in _plans(texts).values() for m in _STACKED.finditer(text)}
    return tuple(sorted(kinds))


def asking(texts: Mapping[str, str], macs: Sequence[str]) -> dict[str, str]:
    """Write the one file that takes the place of all that configure NICs."""
    renderers = [m[1] for text in _plans(texts).values() for m in _RENDERER.finditer(text)]
    lines = ["# Written by Tradewind.", "network:", "  version: 2"]
    lines += [f"  renderer: {(renderers or ['networkd'])[0]}", "  ethernets:"]
    for number, mac in enumerate(macs):
        lines += [
            f"    tradewind{number}:",
            f'      match: {{macaddress: "{mac}"}}',
            "      dhcp4: true",
            "      dhcp6: true",
        ]
    return {OURS: "\n".join(lines) + "\n"}


def _plans(texts: Mapping[str, str]) -> dict[str, str]:
    return {path: text for path, text in texts.items() if path.startswith(FOLDER + "/")}


def _ethernets(text: str) -> Iterator[str]:
    """Find the keys one level below `ethernets:`."""
    level = child = -1
    for line in text.splitlines():
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if key == "ethernets:":
            level, child = indent, -1
        elif level >= 0 and indent <= level:
            level = -1
        elif level >= 0:
            child = indent if child < 0 else child
            if indent == child and key.split(":")[0]:
                yield key.split(":")[0].strip("\"'")
