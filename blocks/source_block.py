# SPDX-License-Identifier: Apache-2.0
"""What the block of a source says beside its own fields."""

from abc import abstractmethod
from typing import ClassVar

from prefect.blocks.core import Block

from tradewind.model.options import ProviderOptions
from tradewind.model.requests import SourceKind
from tradewind.ports import DataSource


class SourceBlock(Block):
    """A block that machines come from.

    `kind` is what requests call it. `is_host` tells whether it is a host whose slots transfers
    take. `bandwidth_limit` is Mbit/s for all transfers from it together, None for no limit.
    """

    kind: ClassVar[SourceKind]
    is_host: ClassVar[bool]
    bandwidth_limit: int | None

    @abstractmethod
    def open_source(self, options: ProviderOptions) -> DataSource:
        """Make the source that the block describes; nothing is connected yet."""
