# SPDX-License-Identifier: Apache-2.0
"""The command that prints a report again."""

import typer
from rich.markdown import Markdown

from cli.ledgers import ledger_of
from cli.options import Destination, Json, Machine, Options, Source
from cli.printing import console
from tradewind.errors import NotFoundError
from tradewind.reports.stored import markdown_of


def report(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    json: Json = False,
) -> None:
    """Print the report of a machine's last transfer or deployment."""
    with ledger_of(options) as ledger:
        last = ledger.last_report(ledger.find_transfer(source, destination, machine))
    if last is None:
        raise NotFoundError(f"no run of {machine} has ended well yet", "run the transfer again")
    if json:
        typer.echo(last[1])
    else:
        console.print(Markdown(markdown_of(*last)))
