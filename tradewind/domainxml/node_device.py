# SPDX-License-Identifier: Apache-2.0
"""Devices of the host itself. Format: https://libvirt.org/formatnode.html."""

from tradewind.domainxml.document import parse, text_at


def interface(xml: str) -> str:
    """Name the network device that virNodeDeviceGetXMLDesc describes."""
    return text_at(parse(xml), "capability[@type='net']/interface")
