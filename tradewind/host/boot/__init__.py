# SPDX-License-Identifier: Apache-2.0
"""Prove that a machine booted, and keep what it showed meanwhile."""
