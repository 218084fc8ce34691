# SPDX-License-Identifier: Apache-2.0
"""Quotes around a value, as shells, editors and documents put them there."""

from typing import Final

# Word processors and web pages turn straight quotes into these.
_PAIRS: Final = {
    '"': '"', "'": "'", "“": "”", "‘": "’", "„": "“”", "‚": "‘’", "«": "»", "»": "«", "”": "”",
    "’": "’", "`": "`",
}  # fmt: skip


def unquoted(value: str) -> str:
    """Take a pair of quotes away from around a value."""
    if len(value) > 1 and value[-1] in _PAIRS.get(value[0], ""):
        return value[1:-1]
    return value
