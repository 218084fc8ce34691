# SPDX-License-Identifier: Apache-2.0
"""How much memory this process has taken."""

from pathlib import Path

from tradewind.units import KiB


def peak_memory() -> int:
    """Return how many bytes this process has had in memory at most (VmHWM of proc(5)).

    Not ru_maxrss of getrusage(2): that starts with the size of the process that forked this one,
    so that whoever is started by a large one is never smaller.
    """
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) * KiB
