# SPDX-License-Identifier: Apache-2.0
"""Remove rules that tie interface names to the NICs of the old host."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux.network.names import PERSISTENT_RULES
from tradewind.ports import GuestTree

# The generators of such rules (udev before 204) would write them again.
_FILES: Final = (
    PERSISTENT_RULES,
    "/etc/udev/rules.d/75-persistent-net-generator.rules",
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the names are fixed by the step before: it needs to know the NICs."""
    return bool(os.macs)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Keep a copy, remove the rules."""
    present = files.present(guest, *_FILES)
    for path in present:
        backup.set_aside(guest, path)
    if not present:
        return Outcome(changed=False, summary="there are none")
    return Outcome(changed=True, summary=f"removed {', '.join(present)}")
