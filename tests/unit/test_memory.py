# SPDX-License-Identifier: Apache-2.0
"""The memory of a process: its own, and not that of who started it."""

import subprocess
import sys

from tradewind.memory import peak_memory
from tradewind.units import MiB

_CHILD = """
import sys
from tradewind.memory import peak_memory
held = b"x" * int(sys.argv[1])
del held
print(peak_memory())
"""


def child(size: int) -> int:
    """Start a process that holds so many bytes for a while, and ask for its peak."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(size)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_it_does_not_begin_with_the_size_of_its_parent() -> None:
    held = b"x" * (300 * MiB)
    assert peak_memory() > len(held)
    assert child(0) < 100 * MiB


def test_it_is_the_most_that_there_was() -> None:
    assert child(100 * MiB) > child(0) + 90 * MiB
