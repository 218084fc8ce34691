# SPDX-License-Identifier: Apache-2.0
"""INF files as sections of lines.

Syntax: Microsoft's "General Syntax Rules for INF Files". Not an INI file: a key may be there more
than once, and all its lines count.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import OptionError
from tradewind.units import MiB

MOST: Final = 1 * MiB
REMEDY: Final = "name another driver ISO in windows_virtio_iso_url"
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What may stand in a file without quotes, whatever is beside it.
_PLAIN: Final = re.compile(r"[\w.&{}%$*+:/-]+(?:\\[\w.&{}%$*+:/-]+)*", re.ASCII)
_TOKEN: Final = re.compile(r"%([^%]*)%")


@dataclass(frozen=True, slots=True)
class Line:
    """What is left of "=", None without one; and the values right of it, without their quotes."""

    key: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InfSection:
    """All lines under one name, which may be in the file more than once."""

    name: str
    lines: tuple[Line, ...]


class Inf:
    """A parsed file. Names of sections and keys are compared without regard to capital letters."""

    def __init__(self, sections: Iterable[InfSection]) -> None:
        self.sections = tuple(sections)
        self._by_name = {section.name.lower(): section for section in self.sections}
        self._strings = self._all_strings()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inf) and self.sections == other.sections

    def __hash__(self) -> int:
        return hash(self.sections)

    def has(self, section: str) -> bool:
        """Whether there is a section of that name."""
        return section.lower() in self._by_name

    def lines(self, section: str) -> tuple[Line, ...]:
        """Return the lines of a section with their strings put in; none when there is none."""
        found = self._by_name.get(section.lower())
        return tuple(map(self._with_strings, found.lines if found else ()))

    def all_of(self, section: str, key: str) -> Iterator[tuple[str, ...]]:
        """Return the values of each line with that key."""
        for line in self.lines(section):
            if line.key is not None and line.key.lower() == key.lower():
                yield line.values

    def one(self, section: str, key: str) -> str:
        """Return the first value of the first line with that key; "" when there is none."""
        values = next(self.all_of(section, key), ())
        return values[0] if values else ""

    def _all_strings(self) -> Mapping[str, str]:
        """Read [Strings]; those of a language stand in only for what it lacks."""
        languages = sorted(name for name in self._by_name if name.startswith("strings."))
        strings: dict[str, str] = {}
        for name in ("strings", *languages):
            for line in self._by_name[name].lines if name in self._by_name else ():
                if line.key is not None:
                    strings.setdefault(line.key.lower(), ",".join(line.values))
        return strings

    def _with_strings(self, line: Line) -> Line:
        key = None if line.key is None else self._expanded(line.key)
        return Line(key, tuple(map(self._expanded, line.values)))

    def _expanded(self, text: str) -> str:
        """Put strings in for %tokens%; what is no string, as the folder %12%, stays."""

        def string(token: re.Match[str]) -> str:
            return self._strings.get(token[1].lower(), token[0]) if token[1] else "%"

        return _TOKEN.sub(string, text)


def read(name: str, content: bytes) -> Inf:
    """Read a file; OptionError names it when it is too large or no text."""
    if len(content) > MOST:
        raise OptionError(f"{name} is larger than {MOST // MiB} MiB: that is no INF file", REMEDY)
    text = _decoded(content)
    if "\0" in text:
        raise OptionError(f"{name} is no text: that is no INF file", REMEDY)
    return parse(text)


def _decoded(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def parse(text: str) -> Inf:
    """Parse a text; what stands before the first section is left out, as Windows does."""
    sections: dict[str, tuple[str, list[Line]]] = {}
    lines: list[Line] = []
    for words in _logical_lines(text):
        name = _section_name(words)
        if name is not None:
            lines = sections.setdefault(name.lower(), (name, []))[1]
        elif line := _line(words):
            lines.append(line)
    return Inf(InfSection(name, tuple(found)) for name, found in sections.values())


# A character of a line, and whether it stood in quotes: there "," ";" "=" and "\" mean nothing.
_Marked = tuple[str, bool]


def _logical_lines(text: str) -> Iterator[list[_Marked]]:
    """Join lines that end with a backslash; comments and white space around are gone."""
    joined: list[_Marked] = []
    for raw in re.split(r"\r\n|\r|\n", text):
        marked = _trimmed(list(_marked(raw)))
        continued = bool(marked) and marked[-1] == ("\\", False)
        joined += marked[:-1] if continued else marked
        if not continued:
            yield _trimmed(joined)
            joined = []
    yield _trimmed(joined)


def _marked(raw: str) -> Iterator[_Marked]:
    """Tell what is in quotes, which end with their line at the latest, and leave comments out."""
    quoted = False
    at = 0
    while at < len(raw):
        character = raw[at]
        if quoted and raw.startswith('""', at):
            yield '"', True
            at += 1
        elif character == '"':
            yield "", True  # so that "" is an empty value, and no missing one
            quoted = not quoted
        elif character == ";" and not quoted:
            return
        else:
            yield character, quoted
        at += 1


def _trimmed(words: Sequence[_Marked]) -> list[_Marked]:
    start, end = 0, len(words)
    while start < end and _blank(words[start]):
        start += 1
    while end > start and _blank(words[end - 1]):
        end -= 1
    return list(words[start:end])


def _blank(word: _Marked) -> bool:
    character, quoted = word
    return not quoted and character.isspace()


def _text(words: Sequence[_Marked]) -> str:
    return "".join(character for character, _ in _trimmed(words))


def _section_name(words: list[_Marked]) -> str | None:
    if not words or words[0] != ("[", False) or ("]", False) not in words:
        return None
    return _text(words[1 : words.index(("]", False))])


def _line(words: list[_Marked]) -> Line | None:
    if not words:
        return None
    key = None
    if ("=", False) in words:
        at = words.index(("=", False))
        key, words = _text(words[:at]), words[at + 1 :]
    return Line(key, tuple(_values(words)))


def _values(words: list[_Marked]) -> Iterator[str]:
    """Split at commas; nothing at all is no value."""
    value: list[_Marked] = []
    for word in words:
        if word == (",", False):
            yield _text(value)
            value = []
        else:
            value.append(word)
    if _trimmed(words):
        yield _text(value)


def render(inf: Inf) -> str:
    """Write a file that parses to the same sections."""
    return "".join(
        f"[{_quoted(section.name)}]\r\n{''.join(map(_rendered, section.lines))}\r\n"
        for section in inf.sections
    )


def _rendered(line: Line) -> str:
    key = "" if line.key is None else f"{_quoted(line.key)} = "
    return f"{key}{', '.join(map(_quoted, line.values))}\r\n"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '""') + '"'
