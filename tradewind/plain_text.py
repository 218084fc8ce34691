# SPDX-License-Identifier: Apache-2.0
"""What somebody else said, without anything that steers a terminal, and not too much of it."""

import re
from typing import Final

LONGEST_LINE: Final = 200
_LONGEST_NAME: Final = 120

# ECMA-48: sequences that move the cursor go to another line, all others have no width; then
# strings up to their terminator (window titles), two-byte escapes, and the rest of C0, C1 and DEL.
_MOVES: Final = re.compile(r"\x1b\[[0-9;]*[Hf]|\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]|[\x00-\x08\x0e-\x1f\x7f-\x9f]"
)


def readable(text: str) -> str:
    """Leave out what steers a terminal; lines that say nothing are left out too."""
    lines = (line.rstrip() for line in _CONTROLS.sub("", _MOVES.sub("\n", text)).split("\n"))
    return "".join(f"{line}\n" for line in lines if line)


def excerpt(text: str, count: int = 40) -> str:
    """Return the last lines that say something, each cut to a sensible length."""
    return "\n".join(line[:LONGEST_LINE] for line in readable(text).splitlines()[-count:])


def plain(text: str, longest: int = LONGEST_LINE) -> str:
    """Make one line of what a guest said, without anything that steers a terminal."""
    return " ".join(readable(text).split())[:longest]


def printable(text: str) -> str:
    """Show what a guest calls a thing: each character that steers or shows nothing is told by one.

    A label, a volume's name or an os-release file may hold escape sequences for a terminal.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"
