# SPDX-License-Identifier: Apache-2.0
"""How a guest configures its NICs: one module per program that does it."""
