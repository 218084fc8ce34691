# SPDX-License-Identifier: Apache-2.0
"""What exists and why (home of sqlmodel)."""

from tradewind.ledger.journal import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger"]
