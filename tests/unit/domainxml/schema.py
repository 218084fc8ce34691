# SPDX-License-Identifier: Apache-2.0
"""Which elements libvirt's own schema allows where."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from tests.unit.domainxml.conftest import SCHEMAS

_NS: Final = "{http://relaxng.org/ns/structure/1.0}"

Definitions = dict[str, list[etree._Element]]


def definitions(name: str = "domain.rng", seen: set[str] | None = None) -> Definitions:
    """Read all named patterns of a schema and of what it includes."""
    seen = set() if seen is None else seen
    seen.add(name)
    root = etree.parse(str(SCHEMAS / name)).getroot()
    found: Definitions = {}
    for other in (each.get("href", "") for each in root.iter(f"{_NS}include")):
        for key, patterns in (definitions(other, seen) if other not in seen else {}).items():
            found.setdefault(key, []).extend(patterns)
    for define in root.iter(f"{_NS}define"):
        found.setdefault(define.get("name", ""), []).append(define)
    return found


def children(known: Definitions, path: str) -> set[str]:
    """Name the elements that may stand in the one at this path ("domain/devices/disk")."""
    return {name for each in _at(known, path.split("/")) if (name := each.get("name"))}


def _at(known: Definitions, names: list[str]) -> list[etree._Element]:
    current = [each for define in known[names[0]] for each in _inside(known, define, frozenset())]
    for name in names[1:]:
        current = [
            child
            for each in current
            if each.get("name") == name
            for child in _inside(known, each, frozenset())
        ]
    return current


def _inside(
    known: Definitions, node: etree._Element, seen: frozenset[str]
) -> Iterator[etree._Element]:
    for child in node:
        if child.tag == f"{_NS}element":
            # The pattern of <domain> is a definition around the element itself.
            if child.get("name") == "domain":
                yield from _inside(known, child, seen)
            else:
                yield child
        elif child.tag == f"{_NS}ref":
            name = child.get("name", "")
            for define in known[name] if name not in seen else []:
                yield from _inside(known, define, seen | {name})
        elif child.tag != f"{_NS}attribute":
            yield from _inside(known, child, seen)
