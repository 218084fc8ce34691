# SPDX-License-Identifier: Apache-2.0
"""Install the QEMU guest agent, through which the host sees addresses and freezes disks."""

import re
from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.morphing.linux import packages, systemd
from tradewind.ports import GuestTree

_UNIT: Final = "qemu-guest-agent.service"
# A rule that starts the unit as soon as the agent's channel appears.
_RULES: Final = (
    "/lib/udev/rules.d/60-qemu-guest-agent.rules",
    "/usr/lib/udev/rules.d/60-qemu-guest-agent.rules",
    "/etc/udev/rules.d/60-qemu-guest-agent.rules",
    "/usr/lib/udev/rules.d/99-qemu-guest-agent.rules",
)
# Red Hat's settings of the agent: what its host may not ask for. That is policy, and stays.
_SETTINGS: Final = "/etc/sysconfig/qemu-ga"
_FORBIDDEN: Final = re.compile(
    r"^(?:BLACKLIST_RPC|FILTER_RPC_ARGS|BLOCK_RPCS)=[\"']?([^\"'\n]+)", re.MULTILINE
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether we know how the guest's packages are installed."""
    return os.family is not Family.UNKNOWN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Install the package, and prove that something starts it."""
    try:
        origin = packages.install(guest, os, options, "qemu-guest-agent")
    except PackageError as error:
        return packages.not_done(error)
    enabled = _enable(guest)
    if origin is not packages.Origin.THERE:
        summary = f"{origin}; it starts with its channel"
    elif enabled:
        summary = "was installed; enabled"
    else:
        return Outcome(
            changed=False,
            summary="was installed and starts with its channel" + _forbidden(guest),
        )
    return Outcome(changed=True, summary=summary + _forbidden(guest))


def _enable(guest: GuestTree) -> bool:
    """Enable the unit unless it starts already; say whether that was necessary."""
    if _will_start(guest):
        return False
    systemd.enable(guest, [_UNIT])
    if not _will_start(guest):
        raise MorphingError(
            "the guest agent is installed, but nothing starts it",
            f"enable {_UNIT} on the source, and transfer again",
        )
    return True


def _will_start(guest: GuestTree) -> bool:
    state = systemd.states(guest, [_UNIT]).get(_UNIT, "missing")
    if state == "static":
        return bool(files.present(guest, *_RULES))
    return systemd.starts(state)


def _forbidden(guest: GuestTree) -> str:
    """Return what the guest's own settings keep the host from asking (guest-exec, often)."""
    found = _FORBIDDEN.findall(files.read(guest, _SETTINGS).get(_SETTINGS, ""))
    return f"; {_SETTINGS} restricts it: {' '.join(found)[:300]}" if found else ""
