# SPDX-License-Identifier: Apache-2.0
"""A folder of disk images as a source."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from blocks.source_block import SourceBlock
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import SourceKind
from tradewind.sources.images.source import DiskImageSource


class DiskImageFolder(SourceBlock):
    """Machines as disk images (raw, qcow2), each described by a small TOML file."""

    _block_type_name = "Tradewind Disk Images"
    _block_type_slug = "tradewind-disk-images"

    kind: ClassVar[SourceKind] = SourceKind.IMAGES
    is_host: ClassVar[bool] = False

    folder: str = Field(
        title="Folder",
        description="Folder on the machine that runs the flows, with <machine>.toml files and "
        "the images they name.",
    )
    bandwidth_limit: int | None = Field(
        None,
        title="Bandwidth limit",
        description="Limit in Mbit/s for all transfers from here together. Empty: no limit.",
        gt=0,
    )

    @property
    def path(self) -> Path:
        """Where the descriptions are."""
        return Path(self.folder).expanduser()

    def open_source(self, _options: ProviderOptions) -> DiskImageSource:
        """Read the machines that the folder describes."""
        return DiskImageSource(self.path)
