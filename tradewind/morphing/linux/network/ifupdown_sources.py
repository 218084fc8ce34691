# SPDX-License-Identifier: Apache-2.0
"""Which files ifupdown includes: `source` and `source-directory`, also inside an included file.

Patterns are those of wordexp(3), several on a line. The line is relative to the folder of its file:
as ifup puts that in front of the line, only the first pattern is (seen with 0.8.41).
"""

import fnmatch
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network.ifupdown_stanzas import Stanza, stanzas

MAIN: Final = "/etc/network/interfaces"
FOLDER: Final = "/etc/network/interfaces.d"
# What the shell would put in place of these is not known here.
_EXPANDED: Final = re.compile(r"[$`\x00-\x1f]|^~|^/*$")
_MOST_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class SourcePattern:
    """One pattern of one line, with the folder in front."""

    pattern: str
    by_folder: bool

    def includes(self, path: str) -> bool:
        """Whether a file is included."""
        folder, _, name = path.rpartition("/")
        if self.by_folder:
            named = bool(re.fullmatch(r"[A-Za-z0-9_-]+", name))
            return named and _matches(self.pattern, folder)
        return _matches(self.pattern, path)

    @property
    def to_read(self) -> str:
        """The pattern for reading the files, which knows "*" and "?" only."""
        plain = re.sub(r"\[[^]/]*\]", "?", self.pattern)
        return f"{plain}/*" if self.by_folder else plain


@dataclass(frozen=True, slots=True)
class AutoInterfaces:
    """What is started by itself: names, and patterns after a slash (`auto /eth*`)."""

    words: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether an interface is started, or a logical one (`auto eth0=office`)."""
        globs = (word.split("/")[-1] for word in self.words if word.startswith("/"))
        return name in self.words or any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def starting(texts: Mapping[str, str]) -> AutoInterfaces:
    """Read what the lines `auto` and `allow-…` of all files start."""
    found: set[str] = set()
    for path in files(texts):
        for stanza in stanzas(texts[path]):
            if stanza.words and stanza.words[0].startswith(("auto", "allow-")):
                found |= {part for word in stanza.words[1:] for part in word.split("=")}
    return AutoInterfaces(frozenset(found))


def physical(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Say which interfaces become which logical ones: `auto eth0=office`, and mapping stanzas.

    Which one a mapping's script chooses is known when it runs: each that it can is counted.
    Patterns stay as they are.
    """
    found: dict[str, dict[str, None]] = {}
    for path in files(texts):
        for stanza in stanzas(texts[path]):
            for device, logical in _logical(stanza):
                found.setdefault(logical, {})[device] = None
    return {logical: tuple(devices) for logical, devices in found.items()}


def _logical(stanza: Stanza) -> Iterator[tuple[str, str]]:
    words = stanza.words
    if words[:1] == ["mapping"]:
        for answers in (line.split() for line in stanza.lines[1:]):
            if answers[:1] == ["map"]:
                yield from ((device, answers[-1]) for device in words[1:])
    elif words and words[0].startswith(("auto", "allow-")):
        pairs = (word.partition("=") for word in words[1:])
        yield from ((device, logical) for device, _, logical in pairs if logical)


def files(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the main file and those it includes, in order, among files that were read."""
    found = [MAIN] if MAIN in texts else []
    for path in found:
        for inclusion in _inclusions(path, texts[path]):
            new = [other for other in sorted(texts) if inclusion.includes(other)]
            found += [other for other in new if other not in found][: _MOST_FILES - len(found)]
    return tuple(found)


def patterns(texts: Mapping[str, str]) -> tuple[str, ...]:
    """List the patterns of included files; some may still have to be read."""
    found = [i.to_read for path in files(texts) for i in _inclusions(path, texts[path])]
    return tuple(dict.fromkeys(found))


def not_followed(texts: Mapping[str, str]) -> tuple[str, ...]:
    """List what is included by names that a shell would have to make."""
    return tuple(
        f"{path}: {stanza.words[0]} {word}"
        for path in files(texts)
        for stanza in _sources(texts[path])
        for word in _words(stanza)
        if _EXPANDED.search(word)
    )


def _inclusions(path: str, text: str) -> Iterator[SourcePattern]:
    folder = posixpath.dirname(path)
    for stanza in _sources(text):
        for number, word in enumerate(_words(stanza)):
            if not _EXPANDED.search(word):
                start = "/" if number else folder
                pattern = posixpath.normpath(posixpath.join(start, word))
                yield SourcePattern(pattern, by_folder=stanza.words[0] == "source-directory")


def _sources(text: str) -> list[Stanza]:
    return [s for s in stanzas(text) if s.words[:1] in (["source"], ["source-directory"])]


def _words(stanza: Stanza) -> list[str]:
    whole = re.match(r"(?:[^\n]*\\\n)*[^\n]*", "".join(stanza.lines))
    line = (whole[0] if whole else "").replace("\\\n", " ")
    try:
        return shlex.split(line)[1:]
    except ValueError:  # a quote that is not closed
        return line.split()[1:]


def _matches(pattern: str, path: str) -> bool:
    globs, parts = pattern.split("/"), path.split("/")
    return len(globs) == len(parts) and all(
        fnmatch.fnmatchcase(part, glob) and (part[:1] != "." or glob[:1] == ".")
        for glob, part in zip(globs, parts, strict=True)
    )
