# SPDX-License-Identifier: Apache-2.0
"""Commands that store folders of disk images as sources."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field
from rich.table import Table
from rich.text import Text

from cli.options import EvenIfUsed, ImagesName, Json, Replace, SourceBandwidthLimit
from cli.printing import console, show_all
from cli.stored_uses import require_unused_by_transfers
from tradewind.model.record import Record
from tradewind.nearest import listed

images_app = typer.Typer(help="Folders of disk images as sources.", no_args_is_help=True)


@images_app.command("add")
def add_images(
    name: ImagesName,
    folder: Annotated[Path, typer.Argument(help="Folder with <machine>.toml files.")],
    bandwidth_limit: SourceBandwidthLimit = None,
    replace: Replace = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Save it without looking into the folder.")
    ] = False,
) -> None:
    """Check a folder of disk images, and save it as a source."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415
    from blocks.loading import require_new  # noqa: PLC0415
    from tradewind.model.options import ProviderOptions  # noqa: PLC0415

    require_new(DiskImageFolder, name, replace=replace)
    images = DiskImageFolder(folder=str(folder.resolve()), bandwidth_limit=bandwidth_limit)
    there = [] if no_check else list(images.open_source(ProviderOptions()).machines())
    images.save(name, overwrite=True)
    console.print(f"disk images “{name}” stored", markup=False)
    if not no_check:
        names = listed((machine.name for machine in there), name)
        console.print(f"machines described there: {names}", markup=False)


@images_app.command("remove")
def remove_images(
    name: ImagesName,
    force: EvenIfUsed = False,
) -> None:
    """Remove a saved folder of disk images. The folder itself stays."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415
    from blocks.loading import remove_block  # noqa: PLC0415

    if not force:
        require_unused_by_transfers(name)
    remove_block(DiskImageFolder, name)
    console.print(f"disk images “{name}” removed", markup=False)


class ListedImages(Record):
    """A folder of disk images as it is stored."""

    name: str = Field(description="Name of the block.")
    folder: str = Field(description="The folder, on the machine that runs the flows.")
    bandwidth_limit: int | None = Field(description="Mbit/s that all transfers from it may send.")


@images_app.command("list")
def list_images(json: Json = False) -> None:
    """List the saved folders of disk images."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415
    from blocks.loading import block_names, load_block  # noqa: PLC0415

    kept = set(ListedImages.model_fields) - {"name"}
    found = [
        ListedImages(name=name, **load_block(DiskImageFolder, name).model_dump(include=kept))
        for name in block_names(DiskImageFolder)
    ]
    show_all(found, images_table, json=json, none="no folder is stored: tradewind images add")


def images_table(found: Sequence[ListedImages]) -> Table:
    """Lay out folders of disk images."""
    table = Table("images", "folder")
    for each in found:
        table.add_row(Text(each.name), Text(each.folder))
    return table
