# SPDX-License-Identifier: Apache-2.0
"""Which names there are, when one was not found: all of a few, the nearest of many."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_ALL: Final = 10
_NEAREST: Final = 3


def listed(there: Iterable[str], wanted: str, none: str = "none") -> str:
    """List names for a sentence: up to ten of them, else the three most like `wanted`."""
    names = sorted(there)
    if len(names) <= _ALL:
        return ", ".join(names) or none
    folded = {name.casefold(): name for name in reversed(names)}
    near = get_close_matches(wanted.casefold(), folded, _NEAREST, cutoff=0.0)
    shown = ", ".join(folded[name] for name in near)
    return f"{shown}, and {len(names) - len(near)} more"
