# SPDX-License-Identifier: Apache-2.0
"""The outage of a move: exactly one machine runs, whatever fails in it."""
