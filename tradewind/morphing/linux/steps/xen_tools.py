# SPDX-License-Identifier: Apache-2.0
"""Remove or switch off the guest tools of XenServer and XCP-ng."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import foreign
from tradewind.ports import GuestTree

TOOLS: Final = foreign.PlatformTools(
    name="Xen guest tools",
    packages=("xe-guest-utilities*", "xen-guest-agent"),
    units=("xe-daemon.service", "xe-linux-distribution.service", "xen-guest-agent.service"),
    scripts=("xe-daemon", "xe-linux-distribution"),
    traces=("/usr/sbin/xe-daemon",),
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any Linux guest may have them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Remove the packages that nothing else needs, and switch off what is left."""
    return foreign.take_away(guest, os, TOOLS)
