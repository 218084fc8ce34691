# SPDX-License-Identifier: Apache-2.0
"""Rules that say in sentences what of a description a moved machine does not get."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from lxml import etree

from tradewind.domainxml.document import Element

QEMU: Final = "http://libvirt.org/schemas/domain/qemu/1.0"


class Rule(NamedTuple):
    """An XPath, and the sentence for each element that it finds; "" where there is none to say."""

    path: str
    sentence: Callable[[Element], str]


def said(document: Element, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return what stays behind, each thing once, in the order of the rules."""
    sentences = (rule.sentence(found) for rule in rules for found in _elements(document, rule))
    return tuple(dict.fromkeys(filter(None, sentences)))


def _elements(document: Element, rule: Rule) -> Iterator[Element]:
    found = document.xpath(rule.path, namespaces={"qemu": QEMU})
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, etree._Element))


def say(sentence: str) -> Callable[[Element], str]:
    """Say the same of each element."""
    return lambda _element: sentence


def first(element: Element, *choices: tuple[str, str]) -> str:
    """Return the first attribute there is of (path, name) pairs."""
    for path, name in choices:
        found = element.find(path)
        if found is not None and found.get(name):
            return str(found.get(name))
    return "?"


def named(names: str) -> str:
    """Write the step of an XPath to children of these names, divided by "|"."""
    return f"*[contains('|{names}|', concat('|', name(), '|'))]"
