# SPDX-License-Identifier: Apache-2.0
"""The registry of sources: what a source's block says of it, and all of them in one tuple."""

from typing import Final

from blocks.disk_images import DiskImageFolder
from blocks.endpoint import LibvirtEndpoint
from blocks.source_block import SourceBlock
from tradewind.model.requests import SourceKind

# A new source is its package in tradewind/sources/, its block, its name in SourceKind, and a line
# here (docs/howto/add-a-source.md).
SOURCES: Final[tuple[type[SourceBlock], ...]] = (LibvirtEndpoint, DiskImageFolder)


def block_of(kind: SourceKind) -> type[SourceBlock]:
    """Name the type of block that a request's `source` is one of."""
    return next(block for block in SOURCES if block.kind is kind)
