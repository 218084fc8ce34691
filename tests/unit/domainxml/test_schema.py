# SPDX-License-Identifier: Apache-2.0
"""Every XML file here satisfies libvirt's own schema: ours, and those we claim libvirt sends."""

from pathlib import Path

import pytest
from lxml import etree

from tests.unit.domainxml.conftest import GOLDEN, Validate
from tradewind.domainxml.document import find

SCHEMA_OF = {
    "domain": "domain",
    "volume": "storagevol",
    "domainbackup": "domainbackup",
    "pool": "storagepool",
    "network": "network",
    "domainCapabilities": "domaincaps",
    "capabilities": "capability",
    "cpu": "cpu",
}
FILES = sorted(GOLDEN.rglob("*.xml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_document_is_valid_for_libvirt(path: Path, validate: Validate) -> None:
    root = etree.parse(str(path)).getroot()
    if root.tag == "disk":  # a device alone has no schema: in a domain it has
        domain = etree.parse(str(GOLDEN / "worker-tcg.xml")).getroot()
        find(domain, "devices").append(root)
        root = domain
    validate(root, SCHEMA_OF[root.tag])


def test_there_are_files_to_check() -> None:
    assert len(FILES) > 15
