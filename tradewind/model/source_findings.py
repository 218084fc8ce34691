# SPDX-License-Identifier: Apache-2.0
"""What a source can say of a machine before it is read."""

from tradewind.model.finding import Finding
from tradewind.model.record import Record


class GuestSpace(Record):
    """What is free in a mounted file system of a running guest; `free` is bytes."""

    path: str
    free: int


class GuestSeen(Record):
    """The operating system, as far as it can be known from outside; all may be empty.

    `os` is an id as os-release(5) and libosinfo write it ("debian", "win10", a libosinfo URL).
    """

    os: str = ""
    spaces: tuple[GuestSpace, ...] = ()


class SourceFindings(Record):
    """What would keep the machine from being read, and what runs in it."""

    findings: tuple[Finding, ...] = ()
    guest: GuestSeen = GuestSeen()
