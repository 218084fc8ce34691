# SPDX-License-Identifier: Apache-2.0
"""How far a replica is behind its machine, in words."""

from tradewind.units import human_duration


def lateness(behind: float | None, accepted: int | None) -> str:
    """Return how far a replica is behind, and how far it may be."""
    if behind is None:
        return "equals no point in time of its machine yet"
    may = human_duration((accepted or 0) * 60)
    return f"is {human_lag(behind)} behind its machine; {may} are accepted"


def human_lag(behind: float | None) -> str:
    """Return how far a replica is behind: "3 h 05 min", "2 d 4 h", or that there is none."""
    if behind is None:
        return "no replica"
    hours = int(behind // 3600)
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else human_duration(behind)
