# SPDX-License-Identifier: Apache-2.0
"""Open what lies between a guest's file systems and its disks, and close it again."""

from tradewind.morphing.linux.stacks.opening import Opened, close, open_stacks

__all__ = ["Opened", "close", "open_stacks"]
