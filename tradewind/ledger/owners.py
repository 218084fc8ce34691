# SPDX-License-Identifier: Apache-2.0
"""Who drives a run, and whether it still lives.

A process id alone proves nothing: it is used again. With the machine, the boot and the moment
the process started it means one process only.
"""

import functools
import os
import platform
from pathlib import Path
from typing import Final

from tradewind.model.ledger import Life, Owner

_MACHINE_ID: Final = Path("/etc/machine-id")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def current() -> Owner:
    """Describe this process."""
    started = _started(os.getpid())
    assert started is not None  # noqa: S101 - this process lives
    return Owner(
        host=platform.node(),
        machine=_machine(),
        boot=_boot(),
        namespace=_namespace(),
        pid=os.getpid(),
        started=started,
    )


def life(owner: Owner) -> Life:
    """Return whether an owner lives; unknown when it ran on another machine or in a container."""
    # The name too: machines cloned from one image often share the id.
    if (owner.machine, owner.host) != (_machine(), platform.node()):
        return Life.UNKNOWN
    if owner.boot != _boot():
        return Life.DEAD
    if owner.namespace != _namespace():
        return Life.UNKNOWN
    return Life.ALIVE if _started(owner.pid) == owner.started else Life.DEAD


@functools.cache
def _machine() -> str:
    # A machine without an id (a container image, say) is known by its name.
    known = _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else ""
    return known or platform.node()


def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _started(pid: int) -> int | None:
    """Read the start time of a living process; a zombie has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Format: proc(5). The command's name, in parentheses, may contain anything.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])
