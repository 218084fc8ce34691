# SPDX-License-Identifier: Apache-2.0
"""A folder of disk images as a source."""

from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field


class DiskImageFolder(Block):
    """Machines as disk images (raw, qcow2), each described by a small TOML file."""

    _block_type_name = "Tradewind Disk Images"
    _block_type_slug = "tradewind-disk-images"

    folder: str = Field(
        title="Folder",
        description="Folder on the machine that runs the flows, with <machine>.toml files and "
        "the images they name.",
    )
    bandwidth_limit: int | None = Field(
        None,
        title="Bandwidth limit",
        description="Mbit/s that all transfers from here may send together. Empty: no limit.",
        gt=0,
    )

    @property
    def path(self) -> Path:
        """Where the descriptions are."""
        return Path(self.folder).expanduser()
