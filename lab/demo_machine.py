# SPDX-License-Identifier: Apache-2.0
"""The demo guest as a machine of the source host."""

from typing import Final

from lab import machines
from lab.machines import LabMachine
from lab.records import LabHost
from tradewind.model.host import HostAccess

NAME: Final = "demo"
RECIPE: Final = "debian12-bios"
ADDRESS: Final = "198.18.10.50"

MACHINE: Final = LabMachine(
    name=NAME,
    recipe=RECIPE,
    uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c01",
    macs=("52:54:00:de:30:01",),
    address=ADDRESS,
)


def install(host: LabHost, *, kvm: bool) -> None:
    """Put the guest's disks into the host's pool and define the machine, shut off."""
    machines.install(MACHINE, host, kvm=kvm)


def start(host: LabHost) -> None:
    """Start the machine."""
    machines.start(MACHINE, host)


def access(address: str = ADDRESS) -> HostAccess:
    """How to log in to the guest, here and after the move."""
    return machines.access(address)


def answers(address: str = ADDRESS) -> bool:
    """Whether the guest answers over SSH, with its own key."""
    return machines.answers(address)
