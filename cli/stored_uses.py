# SPDX-License-Identifier: Apache-2.0
"""Who uses what is stored: the saved transfers that name a block."""

from deployments.stored_transfers import StoredTransfers
from tradewind.errors import BusyError
from tradewind.nearest import listed


def require_unused_by_transfers(block: str) -> None:
    """Raise BusyError when saved transfers come from a source, or go to a host, of this name."""
    using = [each.name for each in StoredTransfers().all(planned=False) if block in each.blocks()]
    if using:
        raise BusyError(
            f"“{block}” is used by saved transfers: {listed(using, block)}",
            "remove those first (tradewind schedule remove NAME), or --force it",
        )
