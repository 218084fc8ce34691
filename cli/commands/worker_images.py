# SPDX-License-Identifier: Apache-2.0
"""Commands for the image that workers start from."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Destination, Options

worker_image_app = typer.Typer(help="The image of the temporary workers.", no_args_is_help=True)


@worker_image_app.command("build")
def build() -> None:
    """Build the worker image, and print its path.

    Needs root, and the packages that `deployments/install-system-packages --lab` installs.
    """
    typer.echo(_built())


@worker_image_app.command("stage")
def stage(
    pool: Annotated[str, typer.Option(help="Storage pool of type dir.")],
    destination: Destination,
    image: Annotated[
        Path | None, typer.Argument(help="qcow2 image. Default: the one that `build` makes.")
    ] = None,
    volume: Annotated[str, typer.Option(help="Name of the volume.")] = "tradewind-worker.qcow2",
    options: Options = "",
) -> None:
    """Copy the worker image into a storage pool of a host.

    Copies nothing if the volume holds it already.
    """
    from flows.stage_worker_image import stage_worker_image as flow  # noqa: PLC0415 - slow

    typer.echo(flow(destination, pool, str(image or _built()), volume, options))


def _built() -> Path:
    import images  # noqa: PLC0415 - only a checkout has it
    from images.builder import WORKER  # noqa: PLC0415

    (disk,) = images.build(WORKER).disks
    return disk
