# SPDX-License-Identifier: Apache-2.0
"""The hash of log entries: Marvin32 with the seed that the kernel uses for them."""

import struct
from typing import Final

_SEED: Final = 0x82EF4D887A4E55C5
_MASK: Final = 0xFFFFFFFF


def hashed(content: bytes | memoryview) -> int:
    """Hash bytes into 64 bits."""
    whole = len(content) // 4 * 4
    low, high = _SEED & _MASK, _SEED >> 32
    for (word,) in struct.iter_unpack("<I", content[:whole]):
        low, high = _mixed(low + word & _MASK, high)
    # What is left of a word is closed by 0x80, and one word of zeroes follows.
    last = int.from_bytes(bytes(content[whole:]) + b"\x80", "little")
    low, high = _mixed(low + last & _MASK, high)
    low, high = _mixed(low, high)
    return high << 32 | low


def _mixed(low: int, high: int) -> tuple[int, int]:
    high ^= low
    low = (low << 20 | low >> 12) & _MASK
    low = low + high & _MASK
    high = (high << 9 | high >> 23) & _MASK
    high ^= low
    low = (low << 27 | low >> 5) & _MASK
    low = low + high & _MASK
    high = (high << 19 | high >> 13) & _MASK
    return low, high
