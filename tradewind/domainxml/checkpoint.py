# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: points in time since which a domain's disks keep dirty bitmaps.

Format: https://libvirt.org/formatcheckpoint.html.
"""

from collections.abc import Iterator, Sequence

from tradewind.domainxml.document import E, Element, parse, text_at, to_text
from tradewind.model.storage import Checkpoint


def checkpoint_xml(name: str, tracked: Sequence[str], others: Sequence[str]) -> str:
    """Describe a new checkpoint: a bitmap of its name in each tracked disk, none in the others."""
    return to_text(E.domaincheckpoint(E.name(name), _disks(name, tracked, others)))


def redefinition_xml(checkpoint: Checkpoint, domain_xml: str) -> str:
    """Describe a checkpoint whose bitmaps exist, for a domain that does not know of it.

    Libvirt wants the domain inside, with the UUID of the one that it is defined for.
    """
    tracked = {disk.disk_id for disk in checkpoint.disks}
    domain = parse(domain_xml)
    there = [target for target in _targets(domain) if target in tracked]
    others = [target for target in _targets(domain) if target not in tracked]
    return to_text(
        E.domaincheckpoint(
            E.name(checkpoint.name),
            E.creationTime(str(checkpoint.created)),
            _disks(checkpoint.name, there, others),
            domain,
        )
    )


def tracked_disks(xml: str) -> tuple[str, ...]:
    """Name the disks of which a checkpoint has a bitmap."""
    return tuple(
        disk.get("name", "")
        for disk in parse(xml).iterfind("disks/disk")
        if disk.get("checkpoint") == "bitmap"
    )


def creation_time(xml: str) -> int:
    """Return the seconds since the epoch at which a checkpoint was made."""
    return int(text_at(parse(xml), "creationTime", "0"))


def _targets(domain: Element) -> Iterator[str]:
    for target in domain.iterfind("devices/disk/target"):
        yield target.get("dev", "")


def _disks(name: str, tracked: Sequence[str], others: Sequence[str]) -> Element:
    return E.disks(
        *(E.disk(name=target, checkpoint="bitmap", bitmap=name) for target in tracked),
        *(E.disk(name=target, checkpoint="no") for target in others),
    )
