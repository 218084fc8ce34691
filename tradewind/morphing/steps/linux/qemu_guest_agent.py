# SPDX-License-Identifier: Apache-2.0
"""Install the QEMU guest agent, through which the host sees addresses and freezes disks."""

from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import apt, files, systemd
from tradewind.ports import GuestTree

_UNIT: Final = "qemu-guest-agent.service"
# A rule that starts the unit as soon as the agent's channel appears.
_RULES: Final = (
    "/lib/udev/rules.d/60-qemu-guest-agent.rules",
    "/usr/lib/udev/rules.d/60-qemu-guest-agent.rules",
    "/etc/udev/rules.d/60-qemu-guest-agent.rules",
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the guest's packages can be installed with apt."""
    return os.family is Family.DEBIAN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Install the package, and prove that something starts it."""
    fresh = apt.install(guest, "qemu-guest-agent")
    enabled = _enable(guest)
    if fresh:
        return Outcome(changed=True, summary="installed; it starts with its channel")
    if enabled:
        return Outcome(changed=True, summary="was installed; enabled")
    return Outcome(changed=False, summary="was installed and starts with its channel")


def _enable(guest: GuestTree) -> bool:
    """Enable the unit unless it starts already; say whether that was necessary."""
    state = _state(guest)
    if _will_start(guest, state):
        return False
    if state == "masked":
        guest.run(["systemctl", "unmask", _UNIT])
    guest.run(["systemctl", "enable", _UNIT])
    if not _will_start(guest, _state(guest)):
        raise MorphingError(
            "the guest agent is installed, but nothing starts it",
            f"enable {_UNIT} on the source, and transfer again",
        )
    return True


def _state(guest: GuestTree) -> str:
    return systemd.states(guest, [_UNIT]).get(_UNIT, "missing")


def _will_start(guest: GuestTree, state: str) -> bool:
    if state == "static":
        return bool(files.present(guest, *_RULES))
    return systemd.starts(state)
