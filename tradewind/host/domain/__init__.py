# SPDX-License-Identifier: Apache-2.0
"""Domains on their host: define, label, back up, freeze, shut down."""
