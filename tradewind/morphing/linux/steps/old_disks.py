# SPDX-License-Identifier: Apache-2.0
"""Let LVM and multipath look at the new disks instead of what they remember of the old ones."""

from collections.abc import Iterator
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import lvmfilter
from tradewind.ports import GuestTree

_LVM_CONF: Final = "/etc/lvm/lvm.conf"
# What lists disks by the old platform's names. Without its devices file LVM looks at all disks
# (lvmdevices(8)); without its bindings multipath names maps anew.
_REMEMBERED: Final = (
    "/etc/lvm/devices/system.devices",
    "/etc/lvm/cache/.cache",
    "/etc/lvm/.cache",
    "/etc/blkid.tab",
    "/etc/blkid.tab.old",
    "/etc/blkid/blkid.tab",
    "/etc/multipath/bindings",
    "/etc/multipath/wwids",
    "/var/lib/multipath/bindings",
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system may have such files."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Set the lists aside, mend a filter that hides VirtIO disks, and read it again."""
    remembered = files.present(guest, *_REMEMBERED)
    for path in remembered:
        backup.set_aside(guest, path)
    done = tuple(_done(remembered, _mended(guest)))
    if not done:
        return Outcome(changed=False, summary="nothing remembers or hides a disk")
    return Outcome(changed=True, summary="; ".join(done))


def _mended(guest: GuestTree) -> tuple[str, ...]:
    """Mend the filters; name the disks that were hidden."""
    text = files.read(guest, _LVM_CONF).get(_LVM_CONF, "")
    hidden = lvmfilter.hides(text)
    if not hidden:
        return ()
    backup.rewrite(guest, _LVM_CONF, lvmfilter.mended(text))
    still = lvmfilter.hides(guest.read_text(_LVM_CONF))
    if still:
        raise MorphingError(
            f"a filter in {_LVM_CONF} hides {', '.join(still)}, and we could not change it",
            "let devices/filter accept all disks on the source, and transfer again",
        )
    return hidden


def _done(remembered: tuple[str, ...], hidden: tuple[str, ...]) -> Iterator[str]:
    if remembered:
        yield f"{', '.join(remembered)} set aside: they name the old disks"
    if hidden:
        yield f"the filter in {_LVM_CONF} hid {', '.join(hidden)}, and accepts them now"
