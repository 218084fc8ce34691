# SPDX-License-Identifier: Apache-2.0
"""The memory of a machine that a source describes, and what of it is none for the guest.

Format: https://libvirt.org/formatdomain.html#memory-allocation, #memory-devices. <memory> counts
all memory devices, as large as they may become: a persistent one (NVDIMM), which holds data, and
what of a virtio-mem is not plugged in at the moment.
"""

from collections.abc import Iterator
from typing import Final

from tradewind.domainxml.document import Element, text_at
from tradewind.domainxml.sentences import Rule
from tradewind.units import GiB, KiB, MiB, TiB, human_size

# "b" or "bytes", "KB" 1000, "k" or "KiB" 1024 (the default), and so on.
_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": KiB,
    "KiB": KiB,
    "MB": 10**6,
    "M": MiB,
    "MiB": MiB,
    "GB": 10**9,
    "G": GiB,
    "GiB": GiB,
    "TB": 10**12,
    "T": TiB,
    "TiB": TiB,
}
_PERSISTENT: Final = frozenset({"nvdimm", "virtio-pmem"})


def boot_memory(document: Element) -> int:
    """Count the bytes that the guest works in; 0 where nothing is said."""
    counted = _bytes(document, "memory")
    left = counted - sum(_no_memory(document))
    # A description that libvirt did not write may count otherwise.
    return left if left > 0 else counted


def _no_memory(document: Element) -> Iterator[int]:
    for device in document.iterfind("devices/memory"):
        if device.get("model") in _PERSISTENT:
            yield _bytes(device, "target/size")
        elif device.get("model") == "virtio-mem":
            yield _bytes(device, "target/size") - _bytes(device, "target/requested")


def _bytes(element: Element, path: str) -> int:
    found = element.find(path)
    if found is None:
        return 0
    return int((found.text or "0").strip()) * _UNITS[found.get("unit") or "KiB"]


def _stored(device: Element) -> str:
    return (
        f"The {device.get('model')} {text_at(device, 'source/path')} of"
        f" {human_size(_bytes(device, 'target/size'))} holds data of its own, which stays on the"
        " source: copy it to a disk of the machine before the move."
    )


def _plugged(device: Element) -> str:
    size, requested = _bytes(device, "target/size"), _bytes(device, "target/requested")
    return (
        f"A virtio-mem gave the guest {human_size(requested)} of {human_size(size)}; the moved"
        " machine has that much of it from its start, and cannot get more."
    )


def _ballooned(element: Element) -> str:
    parent = element.getparent()
    if parent is None:
        return ""
    now, all_of_it = _bytes(parent, "currentMemory"), boot_memory(parent)
    return (
        f"The balloon held the machine at {human_size(now)} of {human_size(all_of_it)}; the moved"
        " machine gets all of it."
        if now < all_of_it
        else ""
    )


# What else than disks holds what the guest stored.
STORED: Final = (Rule("devices/memory[@model='nvdimm' or @model='virtio-pmem']", _stored),)
MEMORY: Final = (
    *STORED,
    Rule("devices/memory[@model='virtio-mem']", _plugged),
    Rule("currentMemory", _ballooned),
)
