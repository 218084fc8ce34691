# SPDX-License-Identifier: Apache-2.0
"""Many files of a guest at once: in an emulated worker every command costs half a second."""

from collections.abc import Mapping
from typing import Final

from tradewind.errors import MorphingError
from tradewind.ports import GuestTree
from tradewind.units import MiB

MAX_TEXT: Final = 1 * MiB
# All files of one question together; a guest may have as many as it likes.
_MAX_TOTAL: Final = 8 * MiB

_PRESENT: Final = """
for path; do if [ -e "$path" ]; then printf '%s\\0' "$path"; fi; done
"""
# Patterns are expanded by the guest's shell, but not split at spaces.
_READ: Final = f"""
IFS=
for pattern; do
    for path in $pattern; do
        if [ -f "$path" ]; then
            printf '%s\\0' "$path"
            head -c {MAX_TEXT + 1} "$path" | tr -d '\\0'
            printf '\\0'
        fi
    done
done | head -c {_MAX_TOTAL + 1}
"""


def present(guest: GuestTree, *paths: str) -> tuple[str, ...]:
    """Say which of these paths exist, in their order."""
    said = guest.run(["sh", "-c", _PRESENT, "sh", *paths]).stdout
    return tuple(said.split("\0")[:-1])


def read(guest: GuestTree, *patterns: str) -> dict[str, str]:
    """Read all text files that match, by path; MorphingError names one over 1 MiB.

    Null bytes are left out: no text has them, and here they separate files.
    """
    said = guest.run(["sh", "-c", _READ, "sh", *patterns]).stdout
    if len(said.encode(errors="surrogateescape")) > _MAX_TOTAL:
        raise MorphingError(
            f"the guest's {', '.join(patterns)} are larger than {_MAX_TOTAL // MiB} MiB together"
        )
    pieces = said.split("\0")
    texts = dict(zip(pieces[:-1:2], pieces[1::2], strict=True))
    for path, text in texts.items():
        if len(text) > MAX_TEXT:
            raise MorphingError(f"the guest's {path} is larger than {MAX_TEXT // MiB} MiB")
    return texts


def write_changed(
    guest: GuestTree, have: Mapping[str, str], want: Mapping[str, str], mode: int = 0o644
) -> tuple[str, ...]:
    """Write the files whose text is another than what was read; name them."""
    changed = tuple(path for path, text in want.items() if have.get(path) != text)
    for path in changed:
        guest.write_text(path, want[path], mode)
    return changed
