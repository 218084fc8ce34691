# SPDX-License-Identifier: Apache-2.0
"""Every file, device and volume that a domain's XML names, however deep.

Format: https://libvirt.org/formatdomain.html. A running domain's XML has whole backing chains
(<backingStore>), and the other end of a copy under way (<mirror>); a shut-off one names the tops.
"""

import re
from collections.abc import Iterator
from posixpath import normpath
from typing import Final

from tradewind.domainxml.document import Element, attribute, parse

# What LVM calls a logical volume below /dev/mapper: group-volume, hyphens within them doubled.
_MAPPED: Final = re.compile(r"/dev/mapper/((?:[^-]|--)+)-((?:[^-]|--)+)")
_FILES: Final = ("os/nvram", "os/kernel", "os/initrd", "os/loader")
_SOURCES: Final = ("devices/disk//source", "devices/filesystem/source", "os/nvram/source")


def locations(xml: str) -> frozenset[str]:
    """Name all that a domain's or a snapshot's XML refers to.

    Paths are without `//`, `.` and `..`; a volume is named as pool/volume.
    """
    document = parse(xml)
    # A snapshot's document holds the domain as it was, and the disks that it made.
    parts = [document, *document.iterfind("domain"), *document.iterfind("inactiveDomain")]
    return frozenset(place for part in parts for place in _of_part(part))


def layered_files(xml: str) -> frozenset[str]:
    """Name the files that are disks of a domain and may lie on others: all but raw ones."""
    disks = (
        disk
        for disk in parse(xml).iterfind("devices/disk")
        if disk.get("device", "disk") == "disk" and attribute(disk, "driver", "type") != "raw"
    )
    return frozenset(
        normal_path(path)
        for disk in disks
        if (path := attribute(disk, "source", "file")) is not None
    )


def normal_path(path: str) -> str:
    """Spell a path in the one way in which it is compared."""
    if not path.startswith("/"):
        return path
    # POSIX leaves two slashes at the beginning to the system; on Linux they mean one.
    usual = f"/{normpath(path).lstrip('/')}"
    mapped = _MAPPED.fullmatch(usual)
    if mapped is None:
        return usual
    return "/".join(["/dev", *(part.replace("--", "-") for part in mapped.groups())])


def _of_part(part: Element) -> Iterator[str]:
    for source in (each for path in _SOURCES for each in part.iterfind(path)):
        yield from _places(source)
    for source in part.iterfind("disks/disk/source"):
        yield from _places(source)
    for path in _FILES:
        if text := (part.findtext(path) or "").strip():
            yield normal_path(text)


def _places(source: Element) -> Iterator[str]:
    pool, volume = source.get("pool"), source.get("volume")
    if pool and volume:
        yield f"{pool}/{volume}"
    for kind in ("file", "dev", "dir"):
        if path := source.get(kind):
            yield normal_path(path)
    if source.get("protocol") and (image := source.get("name")):
        # As libvirt calls a volume of a network pool, for example rbd: pool/image.
        yield image
