# SPDX-License-Identifier: Apache-2.0
"""What a guest calls things, in a form that can be shown to a person."""

from typing import Final

_LIMIT: Final = 120


def plain(text: str) -> str:
    """Leave out what is no printable character, and what is too long.

    A label, a volume's name or an os-release file may hold escape sequences for a terminal.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= _LIMIT else shown[: _LIMIT - 1] + "…"
