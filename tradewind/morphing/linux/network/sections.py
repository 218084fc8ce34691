# SPDX-License-Identifier: Apache-2.0
"""Files of sections with "key=value" lines: NetworkManager's keyfiles and systemd's units.

What is not asked for stays as it was written, comments and order included.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
_HEADER: Final = re.compile(r"\s*\[([^\]]*)\]\s*$")
_ENTRY: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """Its name, and its lines without the header; the name is "" before the first header."""

    name: str
    header: str
    lines: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that it has, in their order."""
        return tuple(key for key, _, _ in _entries(self.lines) if key)

    def values(self, key: str) -> tuple[str, ...]:
        """All values of a key, in their order."""
        return tuple(value for its, value, _ in _entries(self.lines) if its == key)

    def without(self, keys: re.Pattern[str]) -> "Section":
        """Leave out the keys that match in full."""
        left = [lines for key, _, lines in _entries(self.lines) if not keys.fullmatch(key)]
        return replace(self, lines=tuple(line for lines in left for line in lines))

    def having(self, key: str, value: str) -> "Section":
        """Set a key: where it is, else after the last entry."""
        entries = _entries(self.lines)
        places = [n for n, (its, _, _) in enumerate(entries) if its == key]
        last = max((n + 1 for n, (its, _, _) in enumerate(entries) if its), default=0)
        place = places[0] if places else last
        kept = [lines if its != key else () for its, _, lines in entries]
        kept.insert(place, (f"{key}={value}\n",))
        return replace(self, lines=tuple(line for lines in kept for line in lines))


def parse(text: str) -> tuple[Section, ...]:
    """Split a file; joined again, the sections are the text."""
    headers = [("", "")]
    lines: list[list[str]] = [[]]
    for line in _LINES.findall(text):
        whole = line if line.endswith("\n") else line + "\n"
        match = _HEADER.match(line)
        if match:
            headers.append((match[1], whole))
            lines.append([])
        else:
            lines[-1].append(whole)
    pairs = zip(headers, lines, strict=True)
    return tuple(Section(name, header, tuple(its)) for (name, header), its in pairs)


def joined(sections: Iterable[Section]) -> str:
    """Write the sections as one text."""
    return "".join(section.header + "".join(section.lines) for section in sections)


def values(sections: Sequence[Section], name: str, key: str) -> tuple[str, ...]:
    """All values of a key in all sections of that name."""
    return tuple(v for section in sections if section.name == name for v in section.values(key))


def value(sections: Sequence[Section], name: str, key: str) -> str:
    """Return the value that counts, which is the last; "" when there is none."""
    return (values(sections, name, key) or ("",))[-1]


def _entries(lines: Sequence[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Split into key, value and lines; the key of what is no entry is "".

    A line that ends in a backslash goes on in the next.
    """
    found: list[tuple[str, str, tuple[str, ...]]] = []
    begun: list[str] = []
    for number, line in enumerate(lines):
        begun.append(line)
        if line.endswith("\\\n") and number + 1 < len(lines):
            continue
        match = _ENTRY.match("".join(begun).replace("\\\n", " "))
        found.append(
            (match[1], match[2].strip(), tuple(begun)) if match else ("", "", tuple(begun))
        )
        begun = []
    return found
