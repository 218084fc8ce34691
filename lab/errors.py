# SPDX-License-Identifier: Apache-2.0
"""The lab's one error: no step of a migration ever meets it."""

from tradewind.errors import TradewindError


class LabError(TradewindError):
    """The lab could not be built, used or removed."""
