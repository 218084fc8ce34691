# SPDX-License-Identifier: Apache-2.0
"""XML text to elements and back: no entities, no network, no surprises."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from lxml import etree
from lxml.builder import ElementMaker  # type: ignore[import-not-found,unused-ignore]

from tradewind.errors import HypervisorError
from tradewind.units import MiB, human_size

# libvirt's own limit for a text (REMOTE_STRING_MAX in remote_protocol.x).
LARGEST: Final = 4 * MiB

Element: TypeAlias = etree._Element


class Maker(Protocol):
    """`E.disk(child, "text", name="value")` makes an element; lxml-stubs leave this module out."""

    def __getattr__(self, tag: str) -> Callable[..., Element]: ...


E: Maker = ElementMaker()


def maker(namespace: str, prefix: str) -> Maker:
    """Make elements of a namespace."""
    made: Maker = ElementMaker(namespace=namespace, nsmap={prefix: namespace})
    return made


def parse(xml: str) -> Element:
    """Read a document that a hypervisor sent; HypervisorError when it is not XML, or too long.

    Entities are not resolved, DTDs and the network not touched: a host is not trusted with that.
    libxml2 itself refuses more than 256 elements inside each other.
    """
    if len(xml) > LARGEST:
        raise HypervisorError(f"libvirt sent a document of more than {human_size(LARGEST)}")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_blank_text=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(xml.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise HypervisorError(f"libvirt sent a document that is not XML: {error.msg}") from None


def to_text(element: Element) -> str:
    """Write an element as indented text."""
    return etree.tostring(element, pretty_print=True, encoding="unicode")


def find(element: Element, path: str, namespaces: Mapping[str, str] | None = None) -> Element:
    """Return the element at a path; HypervisorError when the document has none."""
    found = element.find(path, dict(namespaces) if namespaces else None)
    if found is None:
        raise HypervisorError(f"the document <{element.tag}> of libvirt has no {path}")
    return found


def text_at(element: Element, path: str, default: str = "") -> str:
    """Return the stripped text at a path, or the default."""
    return (element.findtext(path) or default).strip()


def attribute(element: Element, path: str, name: str) -> str | None:
    """Return an attribute of the first element at a path; None when either is missing."""
    found = element.find(path)
    return None if found is None else found.get(name)
