# SPDX-License-Identifier: Apache-2.0
"""Further networks on a host's `lan`: what a machine with a static address expects to find.

A segment exists at one host at a time, as at a site where it is switched over with the machine:
that host is its router, and the controller's route leads there.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import namespaces, vlan
from lab.commands import call
from lab.records import HostPlan, LabHost

_BRIDGE: Final = "virbr1"


@dataclass(frozen=True, slots=True)
class Segment:
    """A network of 256 addresses, on a VLAN of `lan` or, with number 0, beside its own."""

    prefix: str
    number: int = 0

    @property
    def router(self) -> str:
        """The host's address in it."""
        return f"{self.prefix}.1/24"


def carry(host: LabHost, segment: Segment) -> None:
    """Let the host's `lan` carry the segment, and lead the controller to it there."""
    plan = namespaces.plan_of(host)
    if segment.number:
        _open_vlan(plan, segment)
    else:
        call(namespaces.enter(plan, ["ip", "address", "replace", segment.router, "dev", _BRIDGE]))
    call(["ip", "route", "replace", f"{segment.prefix}.0/24", "via", plan.address])


def _open_vlan(plan: HostPlan, segment: Segment) -> None:
    interface = f"vlan{segment.number}"
    there = call(namespaces.enter(plan, ["ip", "link", "show", interface]), check=False)
    if there.returncode == 0:
        return
    program = [sys.executable, "-I", str(Path(vlan.__file__))]
    arguments = [_BRIDGE, str(segment.number), interface, segment.router]
    # Only the network is the host's: its file system may not show the checkout.
    call(["nsenter", f"--net=/run/netns/{plan.namespace}", *program, *arguments])
