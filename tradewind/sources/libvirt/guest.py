# SPDX-License-Identifier: Apache-2.0
"""What the agent of a running guest says of it."""

from collections.abc import Mapping
from typing import Any

import libvirt

from tradewind.host.domain import agent
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.source import GuestSeen, GuestSpace
from tradewind.plain_text import plain


def answers(domain: libvirt.virDomain) -> bool:
    """Whether an agent answers at all."""
    return agent.heard(domain, "guest-ping", dict) is not None


def seen(domain: libvirt.virDomain, machine: VirtualMachine) -> GuestSeen:
    """Ask the guest agent for its system and its file systems, else go by the description."""
    known = GuestSeen(os=machine.os_hint or "")
    if machine.power is not PowerState.RUNNING:
        return known
    system = agent.heard(domain, "guest-get-osinfo", dict)
    mounts = agent.heard_list(domain, "guest-get-fsinfo")
    return GuestSeen(
        os=plain(str((system or {}).get("id") or known.os)[:64]),
        spaces=tuple(space for mount in mounts if (space := _space(mount)) is not None),
    )


def _space(mount: Mapping[str, Any]) -> GuestSpace | None:
    """Read one file system. Format: guest-get-fsinfo of QEMU's guest agent, sizes in bytes."""
    try:
        total, used = int(mount["total-bytes"]), int(mount["used-bytes"])
        return GuestSpace(path=plain(str(mount["mountpoint"])[:256], 256), free=total - used)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # what is not mounted has no size
