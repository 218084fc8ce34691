# SPDX-License-Identifier: Apache-2.0
"""Files of shell assignments, as in /etc/sysconfig: what is not asked for stays as written."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def values(text: str) -> dict[str, str]:
    """Read the variables; the last assignment counts. Nothing is expanded."""
    found: dict[str, str] = {}
    for line in _LINES.findall(text):
        match = _LINE.match(line)
        if match:
            found[match[1]] = _unquoted(match[2])
    return found


def changed(text: str, drop: re.Pattern[str], put: Mapping[str, str]) -> str:
    """Leave out variables that match in full, and set others, where they are or at the end."""
    lines: list[str] = []
    left = dict(put)
    for line in _LINES.findall(text):
        match = _LINE.match(line)
        name = match[1] if match else ""
        if name in put:
            if name in left:
                lines.append(_kept_or_new(line, name, left.pop(name)))
        elif not (name and drop.fullmatch(name)):
            lines.append(line if line.endswith("\n") else line + "\n")
    style = "'" if re.search(r"^\w+='", text, re.MULTILINE) else ""
    return "".join(lines) + "".join(f"{n}={style}{v}{style}\n" for n, v in left.items())


def _kept_or_new(line: str, name: str, value: str) -> str:
    old = _LINE.match(line)
    if old and _unquoted(old[2]) == value:
        return line if line.endswith("\n") else line + "\n"
    quote = old[2][0] if old and old[2][:1] in {"'", '"'} else ""
    return f"{name}={quote}{value}{quote}\n"


def _unquoted(text: str) -> str:
    try:
        return " ".join(shlex.split(text, comments=True))
    except ValueError:  # a quote that is not closed
        return text.strip().strip("\"'")
