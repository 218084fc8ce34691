# SPDX-License-Identifier: Apache-2.0
"""Frozen records that travel between steps."""
