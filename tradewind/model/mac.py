# SPDX-License-Identifier: Apache-2.0
"""MAC addresses, spelled in one way from the moment that they are read."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_MAC: Final = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}")


def read_mac(text: str) -> str:
    """Spell a MAC address as the kernel does, "52:54:00:01:02:03"; return "" when it is none.

    Colons or dashes, in whatever case.
    """
    mac = text.strip().lower()
    return mac.replace("-", ":") if _MAC.fullmatch(mac) else ""


def _canonical(text: str) -> str:
    return read_mac(text) or text


# What a source or a host calls a MAC address: canonical, or as it was where it is none.
Mac = Annotated[str, AfterValidator(_canonical)]
