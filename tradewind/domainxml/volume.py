# SPDX-License-Identifier: Apache-2.0
"""Storage volumes. Format: https://libvirt.org/formatstorage.html#storage-volume-xml."""

from dataclasses import dataclass

from tradewind.domainxml.document import E, Element, attribute, find, parse, text_at, to_text
from tradewind.model.storage import Volume


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """A volume as its host sees it; sizes in bytes. `backing` is the path below an overlay.

    `version` is that of a qcow2 image, 2 or 3; None of any other.
    """

    name: str
    path: str
    format: str
    capacity: int
    allocation: int
    backing: str | None
    version: int | None = None


def volume_xml(
    volume: Volume, *, allocation: int = 0, backing: tuple[str, str] | None = None
) -> str:
    """Describe a volume to create; `backing` is the path and format of what lies below it.

    `allocation` is what is set aside at once, in bytes.
    """
    document = E.volume(
        E.name(volume.name),
        E.capacity(str(volume.capacity), unit="bytes"),
        E.allocation(str(allocation), unit="bytes"),
        _target(volume.format),
    )
    if backing is not None:
        path, format_ = backing
        document.append(E.backingStore(E.path(path), E.format(type=format_)))
    return to_text(document)


def _target(format_: str) -> Element:
    target = E.target(E.format(type=format_))
    if format_ == "qcow2":
        # Version 2 (compat 0.10) cannot store dirty bitmaps.
        target.append(E.compat("1.1"))
    return target


def parse_volume(xml: str) -> VolumeFacts:
    """Read what virStorageVolGetXMLDesc returns."""
    document = parse(xml)
    return VolumeFacts(
        name=text_at(document, "name"),
        path=text_at(document, "target/path"),
        format=attribute(document, "target/format", "type") or "raw",
        capacity=int(find(document, "capacity").text or 0),
        allocation=int(text_at(document, "allocation", "0")),
        backing=text_at(document, "backingStore/path") or None,
        version=_version(document),
    )


def _version(document: Element) -> int | None:
    """Read a qcow2 image's version: libvirt writes <compat> for 3 alone, "0.10" means 2.

    virStorageFileGetMetadataInternal in storage_source.c; images that it makes are described as
    asked for until the pool is looked at again.
    """
    if attribute(document, "target/format", "type") != "qcow2":
        return None
    return 3 if text_at(document, "target/compat") == "1.1" else 2
