# SPDX-License-Identifier: Apache-2.0
"""Names of devices that another machine changes, in the files that name them, and what stays.

A kernel's own names (/dev/sdb1) count disks in the order in which they are found; names by hardware
path or identity (/dev/disk/by-id/ata-…, multipath's) are the old platform's. UUIDs, labels, logical
volumes, arrays and containers stay.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tradewind.model.guest import FileSystem, GuestOS, LayerKind
from tradewind.morphing.names import kernel_position

_NAME: Final = (
    r"/dev/(?:(?:sd|hd|vd|xvd)[a-z]{1,2}\d{0,3}|(?:nvme|mmcblk)\d{1,3}(?:n1)?(?:p\d{1,3})?"
    r"|cciss/c\d{1,2}d\d{1,2}(?:p\d{1,3})?|mapper/mpath[a-z]{1,3}(?:(?:-part|p)?\d{1,3})?"
    r"|disk/by-(?:id|path)/(?!dm-|md-|lvm-)[\w.:+@%#-]{1,200})(?![\w/])"
)
_CCISS: Final = re.compile(r"/dev/cciss/c\d+d(\d+)(?:p(\d+))?")
_PARTITION: Final = re.compile(r"(?:-part|/mpath[a-z]+p?)(\d{1,3})$")

# Where a name stands, in group 2, after what stays, in group 1.
_FIRST_FIELD: Final = re.compile(
    rf"^([ \t]*)({_NAME})(?=\s)(?!.*\b(?:iso9660|udf)\b)", re.MULTILINE
)
_SECOND_FIELD: Final = re.compile(rf"^([ \t]*[^#\s]\S*[ \t]+)({_NAME})(?=\s|$)", re.MULTILINE)
_WHAT: Final = re.compile(rf"^(What=)({_NAME})(?=[ \t]*$)", re.MULTILINE)
_LINE: Final = re.compile(rf"^()({_NAME})(?=[ \t]*$)", re.MULTILINE)
_ARGUMENT: Final = re.compile(
    r"(?<![\w.-])((?:root|resume|RESUME|real_root|mount\.usr|cryptdevice|rd\.luks\.data)="
    rf"[\"']?)({_NAME})"
)
# A block of fixed size, filled up with "#". Format: GRUB's environment block.
_GRUBENV_SIZE: Final = 1024

FSTAB: Final = "/etc/fstab"
CRYPTTAB: Final = "/etc/crypttab"


def renamed(path: str, text: str, os: GuestOS) -> str:
    """Put what stays in place of what changes, where it is known; `path` says how to read it."""
    pattern = _pattern(path)

    def lasting(match: re.Match[str]) -> str:
        uuid = _uuid(match[2], os)
        prefix = "/dev/disk/by-uuid/" if pattern is _WHAT else "UUID="
        return match[1] + (prefix + uuid if uuid else match[2])

    if pattern is _LINE:
        return text
    new = pattern.sub(lasting, text)
    return _filled(new) if path.endswith("/grubenv") and new != text else new


def left(path: str, text: str) -> list[str]:
    """Name those that would still change."""
    return sorted({match[2] for match in _pattern(path).finditer(text)})


def _pattern(path: str) -> re.Pattern[str]:
    if path in {FSTAB, CRYPTTAB}:
        return _FIRST_FIELD if path == FSTAB else _SECOND_FIELD
    if path.endswith("grub_installdevice"):
        return _LINE
    return _WHAT if path.endswith((".mount", ".swap")) else _ARGUMENT


def _filled(block: str) -> str:
    return block.rstrip("#").ljust(_GRUBENV_SIZE, "#")


def _uuid(name: str, os: GuestOS) -> str:
    """Find the UUID of what a name means; "" when it means nothing, or could mean several."""
    meant = {uuid for uuid in _meant(name, os.filesystems) if uuid}
    return meant.pop() if len(meant) == 1 else ""


def _meant(name: str, filesystems: Sequence[FileSystem]) -> Iterator[str]:
    cciss = _CCISS.fullmatch(name)
    position = (int(cciss[1]), int(cciss[2] or 0)) if cciss else kernel_position(name)
    partition = _PARTITION.search(name)
    for filesystem in filesystems:
        here = (filesystem.disk, filesystem.partition)
        wanted = position or (filesystem.disk, int(partition[1]) if partition else 0)
        if here == wanted:
            yield _identity(filesystem)


def _identity(filesystem: FileSystem) -> str:
    """Give the UUID of what lies on the partition itself: a file system or a container."""
    if not filesystem.layers:
        return filesystem.uuid
    lowest = filesystem.layers[-1]
    return lowest.uuid if lowest.kind is LayerKind.LUKS else ""
