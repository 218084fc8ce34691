# SPDX-License-Identifier: Apache-2.0
"""Names of devices that another machine changes, in the files that name them, and what stays.

A kernel's own names (/dev/sdb1) count disks in the order in which they are found; names by hardware
path or identity (/dev/disk/by-id/ata-…, multipath's) are the old platform's. UUIDs, labels, logical
volumes, arrays and containers stay.
"""

import re
from collections.abc import Callable
from typing import Final

from tradewind.model.guest import GuestOS
from tradewind.morphing.linux import kernel_names
from tradewind.morphing.linux.boot.stable_names import StableNames, lasting

_NAME: Final = (
    rf"(?:{kernel_names.NAME}|/dev/mapper/mpath[a-z]{{1,3}}(?:(?:-part|p)?\d{{1,3}})?"
    r"|/dev/disk/by-(?:id|path)/(?!dm-|md-|lvm-)[\w.:+@%#-]{1,200})(?![\w/])"
)
# Where a name stands, in group 2, after what stays, in group 1.
_WHAT: Final = re.compile(rf"^(What=)({_NAME})(?=[ \t]*$)", re.MULTILINE)
_UNIT_OPTIONS: Final = re.compile(r"^Options=.*$", re.MULTILINE)
_LINE: Final = re.compile(rf"^()({_NAME})(?=[ \t]*$)", re.MULTILINE)
_FLAGS: Final = r"rootflags=[^\s\"']*?[=,]"
_ARGUMENT: Final = re.compile(
    r"(?<![\w.-])((?:(?:root|resume|RESUME|real_root|mount\.usr|cryptdevice)="
    rf"|rd\.luks\.data=(?:[\w-]+=)?|{_FLAGS})[\"']?)({_NAME})"
)
# A line of a table: its first four fields, each with the blanks before it; then the rest.
_TABLE_LINE: Final = re.compile(r"([ \t]*)(\S+)([ \t]+)(\S+)(?:([ \t]+)(\S+))?(?:([ \t]+)(\S+))?")
_WHOLE: Final = re.compile(_NAME)
_INSIDE: Final = re.compile(rf"(?<![\w./-])()({_NAME})")
# systemd's name for the unit of a device, as x-systemd.requires= may have it.
_UNIT: Final = re.compile(r"(?<![\w./\\-])dev-((?:sd|hd|vd|xvd)[a-z]{1,2}\d*|nvme\w+)\.device\b")
_MEDIA: Final = re.compile(r"\b(?:iso9660|udf)\b")
_RANDOM: Final = ("/dev/urandom", "/dev/random", "/dev/hwrng", "/dev/hw_random")
# A block of fixed size, filled up with "#". Format: GRUB's environment block.
_GRUBENV_SIZE: Final = 1024

FSTAB: Final = "/etc/fstab"
CRYPTTAB: Final = "/etc/crypttab"

# Where a name stands, beside the tables themselves.
_OPTIONS: Final = "options"
_MADE_ANEW: Final = "made anew"

# Gets a name and where it stands; gives what takes its place.
_Change = Callable[[str, str], str]


def renamed(path: str, text: str, os: GuestOS) -> str:
    """Put what stays in place of what changes, where it is known; `path` says how to read it."""

    def change(name: str, before: str) -> str:
        return _form(before, lasting(name, os)) or name

    new = text if _pattern(path) is _LINE else _changed(path, text, change)
    return _filled(new) if path.endswith("/grubenv") and new != text else new


def left(path: str, text: str) -> list[str]:
    """Name those that would still change."""
    names: set[str] = set()

    def note(name: str, _before: str) -> str:
        names.add(name)
        return name

    _changed(path, text, note)
    if path in {FSTAB, CRYPTTAB}:
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        names |= {match[0] for line in lines for match in _UNIT.finditer(line)}
    return sorted(names)


def reason(name: str, os: GuestOS) -> str:
    """Return why a name was left: it means nothing, or too much, or what has no name that stays."""
    unit = _UNIT.fullmatch(name)
    return lasting(f"/dev/{unit[1]}" if unit else name, os).reason


def _changed(path: str, text: str, change: _Change) -> str:
    if path in {FSTAB, CRYPTTAB}:
        lines = text.splitlines(keepends=True)
        return "".join(_changed_line(line, change, fstab=path == FSTAB) for line in lines)
    new = _pattern(path).sub(lambda m: m[1] + change(m[2], m[1]), text)
    if _pattern(path) is not _WHAT:
        return new
    return _UNIT_OPTIONS.sub(lambda m: _inside(m[0], change), new)


def _inside(options: str, change: _Change) -> str:
    return _INSIDE.sub(lambda m: change(m[2], _OPTIONS), options)


def _pattern(path: str) -> re.Pattern[str]:
    if path.endswith("grub_installdevice"):
        return _LINE
    return _WHAT if path.endswith((".mount", ".swap")) else _ARGUMENT


def _changed_line(line: str, change: _Change, *, fstab: bool) -> str:
    """Change the device of a line, and those in its key and options."""
    match = _TABLE_LINE.match(line)
    if match is None or match[2].startswith("#") or (fstab and _MEDIA.search(line)):
        return line
    fields = [group or "" for group in match.groups()]
    device, more = (1, (7,)) if fstab else (3, (5, 7))
    if _WHOLE.fullmatch(fields[device]):
        fields[device] = change(fields[device], FSTAB if fstab else _use(fields))
    for at in more:
        fields[at] = _inside(fields[at], change)
    return "".join(fields) + line[match.end() :]


def _use(fields: list[str]) -> str:
    """Tell a container that is made anew at each start: what is on its device now goes then."""
    return _MADE_ANEW if fields[5] in _RANDOM else CRYPTTAB


def _form(before: str, known: StableNames) -> str:
    """Write what stays as the place takes it; "" when there is nothing."""
    if before == _MADE_ANEW:
        return known.tag(partition=True)
    if before == CRYPTTAB:
        return known.tag(partition=not known.container)
    if before == "What=":
        return known.path()
    # An external log of XFS has the UUID of its file system: blkid(8).
    if before == _OPTIONS or before.startswith("rootflags="):
        return known.path(partition=True)
    return known.tag()


def _filled(block: str) -> str:
    return block.rstrip("#").ljust(_GRUBENV_SIZE, "#")
