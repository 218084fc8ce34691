# SPDX-License-Identifier: Apache-2.0
"""Pieces of Markdown that reports have in common.

Names, errors and what a guest said are written so that they stay text: they could be a link, a
picture or another table row otherwise. An address stays one that a page may make clickable: it
shows where it leads.
"""

import re
from collections.abc import Sequence
from typing import Final

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|!#~&])")
# What makes a list of a line, or a rule: CommonMark 0.31, sections 5.2 and 4.1.
_FIRST: Final = re.compile(r"^([-+=]|\d+(?=[.)]))")


def bullets(title: str, lines: Sequence[str], level: int = 2) -> str:
    """Write a titled list of lines of Markdown, or nothing when there is nothing to list."""
    items = "\n".join(f"- {' '.join(line.split())}" for line in lines)
    return f"\n{'#' * level} {title}\n\n{items}\n" if lines else ""


def literal(text: str) -> str:
    """Write text of another's making so that it is shown as it is, on one line."""
    return _FIRST.sub(_escaped, _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _escaped(first: re.Match[str]) -> str:
    """Escape a line's beginning: a number by the dot behind it, since digits cannot be."""
    return f"{first[0]}\\" if first[0][-1].isdigit() else f"\\{first[0]}"


def code(text: str) -> str:
    """Write text as code on one line, in a fence that it cannot close."""
    words = " ".join(text.split())
    fence = "`" * (_longest_fence(words) + 1)
    pad = " " if fence != "`" else ""
    return f"{fence}{pad}{words or '?'}{pad}{fence}"


def fenced(text: str) -> str:
    """Write lines as they are, in a fence that none of them can close."""
    fence = "`" * max(3, _longest_fence(text) + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def _longest_fence(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
