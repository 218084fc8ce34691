# SPDX-License-Identifier: Apache-2.0
"""Schedules in words, as Prefect's API describes them."""

from typing import Any

from tradewind.units import whole_duration


def words(schedule: dict[str, Any]) -> str:
    """Say when a schedule comes due."""
    if "cron" in schedule:
        return f"{schedule['cron']} ({schedule['timezone'] or 'UTC'})"
    if "interval" in schedule:
        return f"every {whole_duration(float(schedule['interval']))}"
    return str(schedule)
