# SPDX-License-Identifier: Apache-2.0
"""Networks by NetworkManager: keyfiles. Format: nm-settings-keyfile(5)."""

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

FOLDER: Final = "/etc/NetworkManager/system-connections"
PATTERNS: Final = (f"{FOLDER}/*",)
# NetworkManager ignores profiles that others may read.
MODE: Final = 0o600

_OURS: Final = f"{FOLDER}/tradewind-"
# The priority decides between profiles that fit the same NIC; the default is 0.
_FILE: Final = """\
[connection]
id={name}
uuid={uuid}
type=ethernet
autoconnect-priority=100

[ethernet]
mac-address={mac}

[ipv4]
method=auto

[ipv6]
method=auto
"""
_WIRED: Final = re.compile(r"^type=(ethernet|802-3-ethernet)\s*$", re.MULTILINE)
_MANUAL: Final = re.compile(r"^method=manual\s*$", re.MULTILINE)


def profiles(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the guest's own profiles."""
    return tuple(p for p in texts if p.startswith(FOLDER) and not p.startswith(_OURS))


def fixed_addresses(texts: Mapping[str, str]) -> bool:
    """Whether a profile of a NIC has fixed addresses; without one it asks for them anyway."""
    return any(
        _WIRED.search(texts[path]) and _MANUAL.search(texts[path]) for path in profiles(texts)
    )


def asking(macs: Sequence[str]) -> dict[str, str]:
    """Write one profile for each NIC, preferred to the old ones."""
    wanted = {}
    for mac in macs:
        path = f"{_OURS}{mac.replace(':', '')}.nmconnection"
        name = path.rpartition("/")[2].removesuffix(".nmconnection")
        identity = uuid.uuid5(uuid.NAMESPACE_OID, mac)
        wanted[path] = _FILE.format(name=name, uuid=identity, mac=mac.upper())
    return wanted
