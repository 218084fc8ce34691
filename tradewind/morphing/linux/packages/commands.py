# SPDX-License-Identifier: Apache-2.0
"""Commands of package systems: slow, and not to be trusted to end."""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import LateError
from tradewind.model.guest import ChrootAccess
from tradewind.ports import Completed, GuestTree

# Emulated workers need minutes for what takes seconds elsewhere.
UPDATE_TIMEOUT: Final = 600
INSTALL_TIMEOUT: Final = 1800

# What timeout(1) exits with.
LATE: Final = 124


def patiently(
    guest: GuestTree, argv: Sequence[str], timeout: float, reach: ChrootAccess = ChrootAccess.DISKS
) -> Completed:
    """Run a command; one that did not end in time is one that failed, and says so.

    Scripts of packages may build boot images, which look at the disks.
    """
    try:
        return guest.run(argv, timeout=timeout, check=False, reach=reach)
    except LateError as error:
        return Completed(tuple(argv), LATE, "", error.message)
