# SPDX-License-Identifier: Apache-2.0
"""What can be said of adapting a guest before its disks are looked into."""

import re
from collections.abc import Iterator
from typing import Final

from tradewind.model.finding import Finding, note, warning
from tradewind.model.source import GuestSeen

# os-release(5) has no id for it: these are the agent's "mswindows" and libosinfo's ids.
_WINDOWS: Final = re.compile(r"(^|/)(mswindows|win)", re.IGNORECASE)


def findings(guest: GuestSeen) -> Iterator[Finding]:
    """Return whether the guest can be adapted, as far as it is known from outside."""
    if not guest.os:
        yield note(
            "nobody says which operating system it is: it is found on its disks when it is"
            " deployed",
            "to know it before the move, run a rehearsal: tradewind rehearse",
            "its description names none, and no guest agent says one",
        )
    elif _WINDOWS.search(guest.os):
        yield warning(
            "Windows cannot be adapted yet: it would find no driver for its disks",
            "install the VirtIO drivers on the source, and deploy with skip_os_morphing",
            guest.os,
        )
