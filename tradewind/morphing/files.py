# SPDX-License-Identifier: Apache-2.0
"""Many files of a guest at once: in an emulated worker every command costs half a second."""

from collections.abc import Mapping

from tradewind.ports import GuestTree


def present(guest: GuestTree, *paths: str) -> tuple[str, ...]:
    """Return which of these paths exist, in their order."""
    return guest.present(*paths)


def read(guest: GuestTree, *patterns: str) -> dict[str, str]:
    """Read all text files that match, by path; MorphingError names what is over a bound."""
    return guest.read_texts(*patterns)


def write_changed(
    guest: GuestTree, have: Mapping[str, str], want: Mapping[str, str], mode: int = 0o644
) -> tuple[str, ...]:
    """Write the files whose text is another than what was read; name them."""
    changed = tuple(path for path, text in want.items() if have.get(path) != text)
    for path in changed:
        guest.write_text(path, want[path], mode)
    return changed
