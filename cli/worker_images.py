# SPDX-License-Identifier: Apache-2.0
"""Commands for the image that workers start from."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Destination

worker_image_app = typer.Typer(
    help="The image that workers on a destination start from.", no_args_is_help=True
)


@worker_image_app.command("build")
def build() -> None:
    """Build the worker image on this machine, unless that is done; print where it is.

    It takes root, and the packages that `deployments/install-system-packages --lab` installs.
    """
    typer.echo(_built())


@worker_image_app.command("stage")
def stage(
    pool: Annotated[str, typer.Option(help="A dir pool of the host.")],
    destination: Destination,
    image: Annotated[
        Path | None, typer.Argument(help="A qcow2 image. Left out: the one that `build` makes.")
    ] = None,
    volume: Annotated[str, typer.Option(help="Name of the volume.")] = "tradewind-worker.qcow2",
) -> None:
    """Put a worker image into a dir pool of a host, when it is not there already."""
    from flows.stage_worker_image import stage_worker_image as flow  # noqa: PLC0415 - slow

    typer.echo(flow(destination, pool, str(image or _built()), volume))


def _built() -> Path:
    import images  # noqa: PLC0415 - only a checkout has it
    from images.builder import WORKER  # noqa: PLC0415

    (disk,) = images.build(WORKER).disks
    return disk
