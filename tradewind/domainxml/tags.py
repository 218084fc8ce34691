# SPDX-License-Identifier: Apache-2.0
"""The tags that a person puts on a domain, in a namespace of <metadata> for them alone.

    <tradewind:tags xmlns:tradewind="urn:tradewind:tags:1"><tag>nightly</tag> …</tradewind:tags>

One tag may stand alone, as <tradewind:tag>. `virsh metadata --set` writes it:
https://libvirt.org/manpages/virsh.html#metadata
"""

from typing import Final

from lxml import etree

from tradewind.domainxml.document import parse

NAMESPACE: Final = "urn:tradewind:tags:1"


def from_text(xml: str) -> tuple[str, ...]:
    """Read the tags, sorted, from what virDomainGetMetadata returns."""
    # By local names: libvirt 9.0 hands the element out without its namespace.
    found = {
        (element.text or "").strip()
        for element in parse(xml).iter()
        if isinstance(element.tag, str) and etree.QName(element).localname == "tag"
    }
    return tuple(sorted(found - {""}))
