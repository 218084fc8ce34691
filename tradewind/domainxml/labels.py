# SPDX-License-Identifier: Apache-2.0
"""The label in a domain's <metadata>: who made it, for which run.

    <tradewind:label xmlns:tradewind="urn:tradewind:label:1" transfer="…" run="…" purpose="…"
                     created="…" controller="…" state="…"/>

libvirt stores metadata of foreign namespaces as it is:
https://libvirt.org/formatdomain.html#general-metadata
"""

from typing import Final

from lxml import etree
from pydantic import ValidationError

from tradewind.domainxml.document import E, Element, maker, parse
from tradewind.domainxml.document import to_text as element_to_text
from tradewind.errors import HypervisorError
from tradewind.model.run import Label

PREFIX: Final = "tradewind"
NAMESPACE: Final = "urn:tradewind:label:1"

_TAG: Final = etree.QName(NAMESPACE, "label").text
_MAKER: Final = maker(NAMESPACE, PREFIX)


def label_element(label: Label) -> Element:
    """Write a label as the element that goes into <metadata>."""
    return _MAKER.label(_attributes(label))


def _attributes(label: Label) -> dict[str, str]:
    return {name: str(value) for name, value in label.model_dump(mode="json").items()}


def to_text(label: Label) -> str:
    """Write a label as virDomainSetMetadata takes it: libvirt adds the namespace itself.

    One that is there already is refused: "failed to create a new XML namespace" (libvirt 9.0).
    """
    return element_to_text(E.label(_attributes(label)))


def from_text(xml: str) -> Label:
    """Read what virDomainGetMetadata returns; HypervisorError when it is not a label."""
    return _read(parse(xml))


def from_domain(xml: str) -> Label | None:
    """Read the label of a domain's XML; None when the domain is not one of ours."""
    element = parse(xml).find(f"metadata/{_TAG}")
    return None if element is None else _read(element)


def _read(element: Element) -> Label:
    # By its local name: virDomainGetMetadata (libvirt 9.0) hands it out without its namespace.
    if etree.QName(element).localname != "label":
        raise HypervisorError(
            f"<{element.tag}> where a label of Tradewind belongs",
            "remove that metadata by hand, or the domain",
        )
    try:
        return Label.model_validate(dict(element.attrib))
    except ValidationError as error:
        names = ", ".join(sorted(str(item["loc"][0]) for item in error.errors()))
        raise HypervisorError(
            f"a label that cannot be read ({names})",
            "it was written by another version; remove the domain by hand",
        ) from None
