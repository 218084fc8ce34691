# SPDX-License-Identifier: Apache-2.0
"""Remove or switch off the daemons that talk to a Hyper-V host."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import foreign
from tradewind.ports import GuestTree

TOOLS: Final = foreign.PlatformTools(
    name="Hyper-V daemons",
    packages=("hyperv-daemons*", "hypervkvpd", "hypervvssd", "hypervfcopyd", "hyper-v"),
    units=(
        "hypervkvpd.service",
        "hypervvssd.service",
        "hypervfcopyd.service",
        "hv-kvp-daemon.service",
        "hv-vss-daemon.service",
        "hv-fcopy-daemon.service",
        "hyperv-daemons.hv-kvp-daemon.service",
        "hyperv-daemons.hv-vss-daemon.service",
        "hyperv-daemons.hv-fcopy-daemon.service",
        "hv_kvp_daemon.service",
        "hv_vss_daemon.service",
        "hv_fcopy_daemon.service",
    ),
    scripts=("hv-kvp-daemon-init",),
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any Linux guest may have them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Remove the packages that nothing else needs, and switch off what is left."""
    return foreign.take_away(guest, os, TOOLS)
