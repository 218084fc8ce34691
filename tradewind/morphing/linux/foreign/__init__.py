# SPDX-License-Identifier: Apache-2.0
"""Tools of other platforms in a guest: what they are made of, and how they are taken away."""

from tradewind.morphing.linux.foreign.tools import Tools, take_away

__all__ = ["Tools", "take_away"]
