# SPDX-License-Identifier: Apache-2.0
"""Whether units of the guest start at boot; systemctl(1) reads that from the files alone."""

from collections.abc import Sequence

from tradewind.errors import MorphingError
from tradewind.ports import GuestTree

# "static" and "indirect" units are started by something else: a rule, a socket, another unit.
_STARTS = {"enabled", "enabled-runtime", "static", "indirect", "alias", "generated"}


def states(guest: GuestTree, units: Sequence[str]) -> dict[str, str]:
    """Return whether each unit is enabled, in systemctl's words.

    Units that are not there are left out; all are, in a guest without systemd.
    """
    asked = ["systemctl", "list-unit-files", "--no-legend", "--no-pager", *units]
    said = guest.run(asked, check=False)
    lines = [line.split() for line in said.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def starts(state: str) -> bool:
    """Whether a unit in this state is started at boot, or by what it waits for."""
    return state in _STARTS


def enable(guest: GuestTree, units: Sequence[str]) -> tuple[str, ...]:
    """Enable those of these units that are there and would not start; name them."""
    idle = {unit: state for unit, state in states(guest, units).items() if not starts(state)}
    masked = [unit for unit, state in idle.items() if state.startswith("masked")]
    if masked:
        guest.run(["systemctl", "unmask", *masked])
    if idle:
        guest.run(["systemctl", "enable", *idle])
    return tuple(idle)


def disable(guest: GuestTree, units: Sequence[str]) -> tuple[str, ...]:
    """See that none of these units starts; name them. MorphingError when one still would."""
    if not units:
        return ()
    guest.run(["systemctl", "disable", *units], check=False)
    stubborn = [unit for unit, state in states(guest, units).items() if starts(state)]
    if stubborn:  # started by something else: a rule, another unit
        guest.run(["systemctl", "mask", *stubborn], check=False)
        left = [unit for unit, state in states(guest, stubborn).items() if starts(state)]
        if left:
            raise MorphingError(
                f"{', '.join(left)} cannot be switched off",
                "disable it on the source, and transfer again",
            )
    return tuple(units)
