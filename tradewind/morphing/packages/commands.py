# SPDX-License-Identifier: Apache-2.0
"""Commands of package systems: slow, and not to be trusted to end."""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import LateError
from tradewind.ports import Completed, GuestTree

# Emulated workers need minutes for what takes seconds elsewhere.
UPDATE_TIMEOUT: Final = 600
INSTALL_TIMEOUT: Final = 1800

# What timeout(1) exits with.
LATE: Final = 124
# A package program may have started others in sessions of their own: whatever still has the guest
# as its root would hold locks, and go on.
_END: Final = """
for each in /proc/[0-9]*; do
    [ "${each#/proc/}" = $$ ] || ! [ "$each/root" -ef / ] || kill -9 "${each#/proc/}"
done 2>/dev/null
:
"""


def patiently(guest: GuestTree, argv: Sequence[str], timeout: float) -> Completed:
    """Run a command; one that did not end in time is one that failed, and says so."""
    try:
        return guest.run(argv, timeout=timeout, check=False)
    except LateError as error:
        guest.run(["sh", "-c", _END])
        return Completed(tuple(argv), LATE, "", error.message)
