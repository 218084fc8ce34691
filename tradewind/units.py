# SPDX-License-Identifier: Apache-2.0
"""Binary units, and sizes as a person reads them."""

from typing import Final

KiB: Final = 1024
MiB: Final = 1024 * KiB
GiB: Final = 1024 * MiB
TiB: Final = 1024 * GiB

_STEPS: Final = (("TiB", TiB), ("GiB", GiB), ("MiB", MiB), ("KiB", KiB))


def human_size(size: float) -> str:
    """Write a number of bytes with its largest fitting unit: "1.5 GiB"."""
    for name, unit in _STEPS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{int(size)} B"


def human_rate(size: float, seconds: float) -> str:
    """Write bytes over seconds: "85.0 MiB/s"; "–" when no time has passed."""
    return f"{human_size(size / seconds)}/s" if seconds > 0 else "–"


def human_duration(seconds: float) -> str:
    """Write seconds as a person does: "8.2 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def whole_duration(seconds: float) -> str:
    """Say whole seconds in the largest unit that leaves no rest: "45 s", "15 min", "4 h", "1 d"."""
    whole = round(seconds)
    sizes = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    unit, size = next((unit, size) for unit, size in sizes.items() if whole % size == 0)
    return f"{whole // size} {unit}"
