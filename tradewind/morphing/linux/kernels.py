# SPDX-License-Identifier: Apache-2.0
"""Which kernels of the guest can be booted, wherever its distribution puts them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tradewind.model.guest import Kernel
from tradewind.morphing.linux.facts import FileSystemFacts

# As Debian, Red Hat and SUSE call images in /boot (s390x: image-, arm64: Image-), best first.
_PREFIXES: Final = ("vmlinuz-", "Image-", "image-", "zImage-", "vmlinux-", "kernel-")
# A version becomes part of paths and arguments.
_VERSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]{0,127}")


def bootable(
    root: FileSystemFacts, usr: FileSystemFacts | None, boots: Sequence[tuple[str, FileSystemFacts]]
) -> tuple[Kernel, ...]:
    """Find versions that have modules and an image, newest first.

    `boots` are the file systems at /boot, /efi and the like, with their paths. Images beside their
    modules count only when none is in /boot: there SUSE's are links to them, and on Fedora they
    are what the next update of the boot loader would copy.
    """
    beside = _modules(usr or root)
    images = dict(_named("/boot", root.lines("boot")))
    images |= dict(_entries("/boot", root.lines("boot-entries")))
    for path, tree in boots:
        images |= dict(_entries(path, tree.lines("top-entries")))
        images |= dict(_named(path, tree.lines("top")))
    found = {version: images[version] for version in beside if version in images}
    if not found:
        found = {version: image for version, image in beside.items() if image}
    return tuple(
        Kernel(version=version, image=found[version], modules=f"/lib/modules/{version}")
        for version in sorted(found, key=_natural, reverse=True)
    )


def _modules(tree: FileSystemFacts) -> Mapping[str, str]:
    """Read versions, each with the image beside its modules if there is one."""
    pairs = (line.partition(" ") for line in tree.lines("modules"))
    return {
        version: f"/usr/lib/modules/{version}/{image}" if image != "no" else ""
        for image, _, version in pairs
        if _VERSION.fullmatch(version)
    }


def _named(path: str, entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    names = [line.partition(" ")[2] for line in entries]
    for prefix in reversed(_PREFIXES):
        for name in names:
            if name.startswith(prefix):
                yield name.removeprefix(prefix), f"{path}/{name}"


def _entries(path: str, entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read paths like MACHINE-ID/VERSION/linux, as the boot loader specification has them."""
    for line in entries:
        parts = line.split("/")
        if len(parts) == 3:
            yield parts[1], f"{path}/{line}"


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(d or -1), text) for d, text in re.findall(r"(\d{1,9})|(\D+)", version)]
