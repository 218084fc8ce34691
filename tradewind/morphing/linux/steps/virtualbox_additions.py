# SPDX-License-Identifier: Apache-2.0
"""Remove or switch off the guest additions of VirtualBox."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import foreign
from tradewind.ports import GuestTree

TOOLS: Final = foreign.PlatformTools(
    name="VirtualBox guest additions",
    packages=("virtualbox-guest-*", "virtualbox-ose-guest-*", "VirtualBox-guest-additions"),
    units=(
        "vboxadd.service",
        "vboxadd-service.service",
        "vboxadd-x11.service",
        "virtualbox-guest-utils.service",
        "vboxservice.service",
        "vboxclient.service",
    ),
    scripts=("vboxadd", "vboxadd-service", "vboxadd-x11", "virtualbox-guest-utils"),
    traces=("/var/lib/VBoxGuestAdditions/config",),
    filesystems=("vboxsf",),
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any Linux guest may have them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Remove the packages that nothing else needs, and switch off what is left."""
    return foreign.take_away(guest, os, TOOLS)
