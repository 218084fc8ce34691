# SPDX-License-Identifier: Apache-2.0
"""Keep the guest's own version of a file before it is changed."""

from typing import Final

from tradewind.ports import GuestTree
from tradewind.shell_programs import program

# Not beside the original: many folders of configuration are read whole, whatever the names
# (`source interfaces.d/*`), and /boot is often small.
FOLDER: Final = "/var/backups/tradewind"

_KEEP: Final = program(__file__, "keep.sh")


def keep(guest: GuestTree, path: str) -> int:
    """Copy a file into the backup folder, unless its first version lies there; return its mode."""
    kept = guest.run(["sh", "-c", _KEEP, "sh", path, FOLDER + path], timeout=300)
    return int(kept.stdout, 8)


def rewrite(guest: GuestTree, path: str, text: str) -> None:
    """Write a file that exists, with the mode it has, after its own version was kept."""
    guest.write_text(path, text, keep(guest, path))


def set_aside(guest: GuestTree, path: str) -> None:
    """Remove a file of the guest after it was kept."""
    keep(guest, path)
    guest.remove(path)
