# SPDX-License-Identifier: Apache-2.0
"""Storage pools. Format: https://libvirt.org/formatstorage.html#storage-pool-xml."""

from dataclasses import dataclass

from tradewind.domainxml.document import E, parse, text_at, to_text


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool: its type in libvirt's word (dir, fs, logical…), and where the host mounts it."""

    name: str
    type: str
    path: str | None


def parse_pool(xml: str) -> PoolFacts:
    """Read what virStoragePoolGetXMLDesc returns."""
    document = parse(xml)
    return PoolFacts(
        name=text_at(document, "name"),
        type=document.get("type", ""),
        path=text_at(document, "target/path") or None,
    )


def folder_pool(name: str, path: str) -> str:
    """Describe a pool of the files in a folder that is there."""
    return to_text(E.pool(E.name(name), E.target(E.path(path)), type="dir"))
