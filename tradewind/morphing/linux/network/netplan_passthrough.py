# SPDX-License-Identifier: Apache-2.0
"""What a Netplan definition hands on to NetworkManager as it is: `networkmanager: passthrough:`.

Keys are "section.key" of a keyfile. They win over what the definition says itself, so that
"ipv4.method: manual" stays manual beside "dhcp4: true". Format: netplan(5), nm-settings-keyfile(5).
"""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, Final

from tradewind.morphing.linux.network import networkmanager

_FAMILIES: Final = ("ipv4", "ipv6")


def value(parts: Sequence[MutableMapping[str, Any]], *keys: str) -> str:
    """Return the value that counts: that of the last part, and of the first key that has one."""
    for key in keys:
        for settings in reversed(list(_passthroughs(parts))):
            if settings.get(key) not in {None, ""}:
                return str(settings[key])
    return ""


def static(parts: Sequence[MutableMapping[str, Any]], family: str) -> bool:
    """Whether the addresses of one family are written down."""
    listed = any(_is_address(key, family) for s in _passthroughs(parts) for key in s)
    return listed or value(parts, f"{family}.method") == "manual"


def ask(parts: Sequence[MutableMapping[str, Any]]) -> None:
    """Have a definition ask: fixed addresses and what belongs to them go, in place."""
    fixed = [family for family in _FAMILIES if static(parts, family)]
    for settings in _passthroughs(parts):
        for key in list(settings):
            family, _, name = str(key).partition(".")
            if family in fixed and networkmanager.ADDRESSING.fullmatch(name):
                del settings[key]
            elif name == "method" and (family == "ipv4" or family in fixed):
                settings[key] = "auto"
            elif key == "connection.autoconnect":
                del settings[key]


def is_switched_off(parts: Sequence[MutableMapping[str, Any]]) -> bool:
    """Whether NetworkManager does not start it by itself, or starts it without IPv4."""
    waits = value(parts, "connection.autoconnect").lower() in {"false", "no", "0"}
    return waits or value(parts, "ipv4.method") == "disabled"


def _is_address(key: object, family: str) -> bool:
    section, _, name = str(key).partition(".")
    return section == family and bool(networkmanager.ADDRESS.fullmatch(name))


def _passthroughs(
    parts: Sequence[MutableMapping[str, Any]],
) -> Iterator[MutableMapping[str, Any]]:
    for part in parts:
        backend = part.get("networkmanager")
        settings = backend.get("passthrough") if isinstance(backend, MutableMapping) else None
        if isinstance(settings, MutableMapping):
            yield settings
