# SPDX-License-Identifier: Apache-2.0
"""Packages into a guest and out of it: one module for each package system."""

from tradewind.morphing.linux.packages.acquire import (
    Origin,
    find_system,
    install,
    not_done,
    system_of,
)

__all__ = ["Origin", "find_system", "install", "not_done", "system_of"]
