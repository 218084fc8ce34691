# SPDX-License-Identifier: Apache-2.0
"""Whether units of the guest start at boot; systemctl(1) reads that from the files alone."""

from collections.abc import Sequence

from tradewind.ports import GuestTree

# "static" and "indirect" units are started by something else: a rule, a socket, another unit.
_STARTS = {"enabled", "enabled-runtime", "static", "indirect", "alias", "generated"}


def states(guest: GuestTree, units: Sequence[str]) -> dict[str, str]:
    """Say whether each unit is enabled, in systemctl's words; those that are not there are not."""
    said = guest.run(["systemctl", "list-unit-files", "--no-legend", "--no-pager", *units])
    lines = [line.split() for line in said.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def starts(state: str) -> bool:
    """Whether a unit in this state is started at boot, or by what it waits for."""
    return state in _STARTS
