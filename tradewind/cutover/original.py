# SPDX-License-Identifier: Apache-2.0
"""The original of a move: whether it is still what was shut down."""

from collections.abc import Iterator

from tradewind.domainxml.definition import is_same
from tradewind.errors import FencingError, NotFoundError
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.ports import DataSource


def require_unchanged(
    source: DataSource, machine: VirtualMachine, place: str, *, accept_edits: bool = False
) -> VirtualMachine:
    """Return the original as it is now; FencingError names what somebody changed meanwhile."""
    try:
        now = source.inspect(machine.id)
    except NotFoundError:
        raise FencingError(
            f"{machine.name} is not on {place} any more: somebody has moved or undefined it, and"
            " nothing is touched",
            "see which machine shall run; this one cannot be started there",
        ) from None
    changes = tuple(_changes(machine, now)) or tuple(_other_changes(machine, now))
    if changes and not accept_edits:
        raise FencingError(
            f"{machine.name} on {place} was edited since its outage began ({'; '.join(changes)}),"
            " and nothing is touched",
            "undo that, or accept it: --accept-edits",
        )
    return now


def require_off(machine: VirtualMachine, place: str) -> None:
    """Raise FencingError when the original runs: somebody has started it, and it is the machine."""
    if machine.power is PowerState.RUNNING:
        raise FencingError(
            f"{machine.name} runs on {place}: somebody has started it since the outage began",
            f"it is what its users have now: tradewind move rollback {machine.name} closes the"
            " outage, and then it can be moved again",
        )


def _changes(then: VirtualMachine, now: VirtualMachine) -> Iterator[str]:
    """Return what a person changed; what a machine changes by running is no change."""
    if then.name != now.name:
        yield f"it is called {now.name}"
    if (then.vcpus, then.memory, then.firmware) != (now.vcpus, now.memory, now.firmware):
        yield "its CPUs, memory or firmware"
    if _disks(then) != _disks(now):
        yield "its disks"
    if _nics(then) != _nics(now):
        yield "its NICs"


def _other_changes(then: VirtualMachine, now: VirtualMachine) -> Iterator[str]:
    """Tell of a change that has no word of its own: a device, a limit, a clock."""
    told = then.description is not None and now.description is not None
    if told and not is_same(then.description or "", now.description or ""):
        yield "its definition, virsh dumpxml --inactive"


def _disks(machine: VirtualMachine) -> list[tuple[str, str, int]]:
    return [(disk.id, disk.location, disk.capacity) for disk in machine.disks]


def _nics(machine: VirtualMachine) -> list[tuple[str, str]]:
    return [(nic.mac, nic.network) for nic in machine.nics]
