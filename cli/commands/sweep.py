# SPDX-License-Identifier: Apache-2.0
"""The command that cleans up after runs that were killed."""

from typing import Annotated

import typer
from rich.markdown import Markdown

from cli import completion
from cli.options import Json, Options
from cli.printing import console, print_json
from tradewind.reports.sweep import sweep_markdown


def sweep(
    endpoints: Annotated[
        list[str] | None,
        typer.Argument(help="Endpoint blocks. Default: all.", autocompletion=completion.endpoints),
    ] = None,
    options: Options = "default",
    dry_run: Annotated[
        bool, typer.Option(help="Show what would be removed, and remove nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove what killed runs left on hosts."""
    from flows.sweep import sweep as flow  # noqa: PLC0415

    reports = flow(endpoints or (), options=options, dry_run=dry_run)
    if json:
        print_json(reports)
    else:
        console.print(Markdown(sweep_markdown(reports, dry_run=dry_run)))
