# SPDX-License-Identifier: Apache-2.0
"""The `tradewind` command: drives Prefect, is no second engine."""
