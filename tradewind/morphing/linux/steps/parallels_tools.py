# SPDX-License-Identifier: Apache-2.0
"""Switch off the tools of Parallels."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import foreign
from tradewind.ports import GuestTree

TOOLS: Final = foreign.PlatformTools(
    name="Parallels tools",
    packages=("parallels-guest-tools*", "prl-vmguest*"),
    units=(
        "prltoolsd.service",
        "prltools_updater.service",
        "parallels-tools.service",
        "prl-x11.service",
        "prl_vzagent.service",
    ),
    scripts=("prltoolsd", "prltools_updater", "prl-x11"),
    traces=("/usr/lib/parallels-tools",),
    filesystems=("prl_fs",),
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any Linux guest may have them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Remove the packages that nothing else needs, and switch off what is left."""
    return foreign.take_away(guest, os, TOOLS)
