# SPDX-License-Identifier: Apache-2.0
"""Tools of other platforms in a guest: what they are made of, and how they are taken away."""

from tradewind.morphing.linux.foreign.tools import PlatformTools, take_away

__all__ = ["PlatformTools", "take_away"]
