# SPDX-License-Identifier: Apache-2.0
"""Commands for packages that guests get without the Internet."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tradewind.units import human_size

console = Console()
packages_app = typer.Typer(
    help="Packages for guests that cannot reach their repositories.", no_args_is_help=True
)

PackagesFolder = Annotated[
    Path | None, typer.Option(help="Folder of packages for guests that reach no repository.")
]
AllowUnknownOs = Annotated[
    bool,
    typer.Option("--allow-unknown-os", help="Adapt an unknown distribution as far as possible."),
]


@packages_app.command("prepare")
def prepare(
    into: Annotated[Path, typer.Argument(help="Output folder, to be passed to deployments.")],
    distribution: Annotated[
        str, typer.Option("--for", help="ID-VERSION[-ARCHITECTURE], as in debian-12 or rocky-9.")
    ],
    sources: Annotated[
        list[Path],
        typer.Option(help="File with its repositories: .sources, .list or .repo; repeatable."),
    ],
    package: Annotated[
        list[str] | None,
        typer.Option(help="Package; repeatable. Default: what the morphing steps install."),
    ] = None,
) -> None:
    """Download packages and their dependencies.

    Run it on a machine that reaches the repositories.
    """
    from tradewind.morphing.linux.packages.prepare import DownloadRequest  # noqa: PLC0415
    from tradewind.morphing.linux.packages.prepare import prepare as download  # noqa: PLC0415

    order = DownloadRequest(
        distribution=distribution,
        sources=tuple(sources),
        packages=tuple(package or ()),
    )
    files = download(order, into)
    size = human_size(sum(path.stat().st_size for path in files))
    console.print(f"{len(files)} packages ({size}) are in {files[0].parent}", markup=False)


def folder_of(path: Path | None) -> str:
    """Name the folder as a request does: absolute, or empty."""
    return str(path.resolve()) if path else ""
