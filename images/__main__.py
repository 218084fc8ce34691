# SPDX-License-Identifier: Apache-2.0
"""`python -m images`: build disk images and the package mirror, see what is built, try it."""

import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import images
from images import cache, host_tree, recipe, rpm_mirror
from images.builder import current_digest
from images.commands import say
from images.trial import try_image
from tradewind.errors import TradewindError
from tradewind.units import human_size

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Name = Annotated[str, typer.Argument(help=f"one of: {', '.join(recipe.names())}")]
Cpu = Annotated[str, typer.Option(help="QEMU's CPU model; empty: what the recipe says")]
Bus = Annotated[str, typer.Option(help="put the disks on virtio or sata, whatever the recipe says")]


@app.command()
def build(name: Name) -> None:
    """Build an image unless its recipe is unchanged; print its disks."""
    for disk in images.build(name).disks:
        typer.echo(disk)


@app.command()
def mirror() -> None:
    """Fill the package mirrors unless that is done; print their folders."""
    for folder in (images.build_mirror(), *rpm_mirror.build_rpm_mirrors()):
        typer.echo(folder)


@app.command()
def host(
    name: Annotated[str, typer.Argument(help=f"one of: {', '.join(recipe.host_names())}")],
) -> None:
    """Build the system of one of the lab's hosts; print its folder."""
    typer.echo(host_tree.build_host(name))


@app.command("list")
def list_images() -> None:
    """List the images: what they are for, and what of them is in the cache."""
    table = Table("image", "version", "size", "what it is", box=None)
    for name in recipe.names():
        wanted = recipe.load(name)
        found = cache.find(name, current_digest(wanted))
        size = (
            human_size(sum(disk.stat().st_size for disk in found.disks)) if found else "not built"
        )
        table.add_row(name, current_digest(wanted), size, wanted.summary)
    Console().print(table)


@app.command()
def clean(*, everything: Annotated[bool, typer.Option("--all")] = False) -> None:
    """Remove the versions that no recipe describes any more; with --all every image."""
    for name in recipe.names():
        kept = "" if everything else current_digest(recipe.load(name))
        with cache.locked(name):
            for image in cache.superseded(name, kept):
                cache.remove(image)
                say(f"image {name}: removed {image.digest}")
    for name in recipe.host_names():
        host_tree.clean(name, everything=everything)


@app.command()
def boot(name: Name, cpu: Cpu = "", bus: Bus = "", timeout: float = 300) -> None:
    """Start an image in a plain QEMU (TCG), log in, and say how long that took."""
    try_image(name, cpu, bus, timeout)


def main() -> None:
    """Run the command; an error is a message and a remedy, not a traceback."""
    # SIGTERM becomes an exception, so that work folders are removed and guests ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except TradewindError as error:
        say(f"images: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
