# SPDX-License-Identifier: Apache-2.0
"""Keep a cloud-init that is there from changing the network, where no package is installed."""

from typing import Final

from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.morphing.linux.cloudinit import dropin
from tradewind.ports import GuestTree

_CLOUD_INIT: Final = "/etc/cloud/cloud.cfg"


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Of known families the step for cloud-init itself does this, and more."""
    return os.family is Family.UNKNOWN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Write the same drop-in: users, keys, host name and network stay as they are.

    Whether cloud-init starts is left as it is.
    """
    if not files.present(guest, _CLOUD_INIT):
        return Outcome(changed=False, summary="there is no cloud-init")
    changed = dropin.write(guest, options)
    summary = f"wrote {', '.join(changed)}" if changed else "it is told already"
    return Outcome(changed=bool(changed), summary=summary)
