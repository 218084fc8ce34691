# SPDX-License-Identifier: Apache-2.0
"""Shut a machine down as gently as it lets us, and start it again."""

import contextlib
import time
from typing import Final

import libvirt

from tradewind.errors import BadInputError, LateError
from tradewind.model.migrate import ShutDown
from tradewind.waiting import wait_for

WAS_OFF: Final = "it was shut off already"
BY_AGENT: Final = "by its guest agent"
BY_ACPI: Final = "by its power button (ACPI)"
BY_FORCE: Final = "switched off by force"

# An agent that takes the order and does nothing must not use up all of the time.
_AGENT_SHARE: Final = 0.5


def shut_down(domain: libvirt.virDomain, *, timeout: float, force: bool) -> ShutDown:
    """Ask the guest agent, then the power button, then – if allowed – switch the machine off.

    `timeout` is seconds for the first two. LateError when it still runs: it may yet go down by
    itself. A transient machine is refused: it would be gone for good.
    """
    if not domain.isActive():
        return ShutDown(how=WAS_OFF, seconds=0)
    if not domain.isPersistent():
        raise BadInputError(
            f"machine {domain.name()} is transient: shut down, it could not be started again",
            "define it: virsh dumpxml … > file, virsh define file",
        )
    begun = time.monotonic()
    how = _asked(domain, timeout)
    if how is None and not force:
        raise LateError(
            f"machine {domain.name()} did not shut down within {timeout:.0f} s",
            "see what keeps it, give it more time (shutdown_timeout), or allow force_off",
        )
    if how is None:
        domain.destroy()
    return ShutDown(how=how or BY_FORCE, seconds=time.monotonic() - begun)


def start(domain: libvirt.virDomain) -> None:
    """Start a machine; nothing happens when it runs."""
    if not domain.isActive():
        domain.create()


def _asked(domain: libvirt.virDomain, timeout: float) -> str | None:
    """Ask both; say who brought it about."""
    deadline = time.monotonic() + timeout
    ways = (
        (libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, BY_AGENT, timeout * _AGENT_SHARE),
        (libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, BY_ACPI, timeout),
    )
    for flag, how, patience in ways:
        if _ask(domain, flag) and _is_off(domain, min(patience, deadline - time.monotonic())):
            return how
    return None


def _ask(domain: libvirt.virDomain, flag: int) -> bool:
    try:
        domain.shutdownFlags(flag)
    except libvirt.libvirtError:
        # Without an agent it says so at once; a machine that just went down says so, too.
        return not domain.isActive()
    return True


def _is_off(domain: libvirt.virDomain, seconds: float) -> bool:
    with contextlib.suppress(LateError):
        return wait_for(
            lambda: not domain.isActive(), f"machine {domain.name()} is off", seconds, every=0.5
        )
    return False
