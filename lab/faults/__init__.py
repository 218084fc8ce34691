# SPDX-License-Identifier: Apache-2.0
"""Faults for the lab: what a room full of machines does to a run sooner or later.

Each is a context manager: the fault lasts as long as the block, and what was taken away is back
after it. What dies (a QEMU, a daemon) is killed at once, and a daemon is started again.
"""
