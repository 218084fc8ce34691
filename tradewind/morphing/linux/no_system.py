# SPDX-License-Identifier: Apache-2.0
"""What is said of disks on which no operating system was found."""

from typing import Final

from tradewind.errors import InspectionError
from tradewind.morphing.linux.blockdevices import place
from tradewind.morphing.linux.roots import Candidates
from tradewind.morphing.linux.stacks import Opened
from tradewind.morphing.linux.worker_tools import REMEDY

_WINDOWS: Final = {"ntfs", "BitLocker"}
KEY_HINT: Final = (
    "store its passphrase or key file in a block of the kind Tradewind Guest Secrets, and name "
    "the block in guest_secrets; if nothing of the system is in it, choose the root with "
    "root_device"
)


def nothing_found(
    error: InspectionError, everything: Candidates, opened: Opened
) -> InspectionError:
    """Return what there is on disks that hold no operating system, and what can be done."""
    seen = [f"{f.fstype} on {place(f)}" for f in everything.filesystems]
    seen += [
        f"{tree.filesystem.fstype} on {place(tree.filesystem)}, which cannot be mounted "
        f"({' '.join(tree.facts['unreadable'].split())})"
        for tree in everything.trees
        if "unreadable" in tree.facts
    ]
    closed = opened.reasons()
    seen += [f"{where}{f', which stays closed ({why})' if why else ''}"
             for where, why in closed.items()]  # fmt: skip
    message = f"{error.message}; found {', '.join(seen) or 'no file system at all'}"
    types = {f.fstype for f in (*everything.filesystems, *opened.contents.members)}
    if any(member.fstype in opened.unreadable for member in opened.contents.members):
        return InspectionError(message, REMEDY)
    if opened.closed_for_good("crypto_LUKS"):
        return InspectionError(message, KEY_HINT)
    if types & _WINDOWS:
        return InspectionError(
            f"{message}; this looks like Windows",
            "only Linux guests are adapted here: deploy with skip_os_morphing",
        )
    return InspectionError(message, "deploy with skip_os_morphing if it needs no adaption")
