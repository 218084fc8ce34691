# SPDX-License-Identifier: Apache-2.0
"""Whether two definitions of a domain describe one and the same machine."""

from typing import Final

from lxml import etree

from tradewind.domainxml.document import parse

# What is no part of the machine, and the one place that libvirt writes down by itself: it chooses a
# file for the UEFI variables when the machine starts (qemu_firmware.c).
_NOT_OF_THE_MACHINE: Final = ("title", "description", "metadata", "os/nvram")


def is_same(one: str, other: str) -> bool:
    """Compare two XML documents of libvirt (VIR_DOMAIN_XML_INACTIVE); blanks do not count."""
    return _machine(one) == _machine(other)


def _machine(xml: str) -> bytes:
    document = parse(xml)
    for path in _NOT_OF_THE_MACHINE:
        for found in document.findall(path):
            parent = found.getparent()
            if parent is not None:
                parent.remove(found)
    return etree.tostring(document, method="c14n")
