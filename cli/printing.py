# SPDX-License-Identifier: Apache-2.0
"""Print a report or a list: for a person, or for a program."""

import json as plain_json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeVar

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from tradewind.model.record import Record

console = Console()
# A pipe is no 80 columns wide: whoever looks for a name in a table shall find it in one piece.
_NO_LIMIT: Final = 1000

R = TypeVar("R", bound=Record)


def show(report: R, markdown: Callable[[R], str], *, json: bool) -> None:
    """Print a report on standard output."""
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console.print(Markdown(markdown(report)))


def show_one(record: Record, *, json: bool) -> None:
    """Print a record's fields on standard output, one a line, by the names that JSON has."""
    if json:
        typer.echo(record.model_dump_json(indent=2))
        return
    table = Table(show_header=False)
    for name, said in record.model_dump(mode="json").items():
        table.add_row(name, Text("–" if said is None else str(said)))
    console.print(table)


def show_all(
    found: Sequence[R], tabulate: Callable[[Sequence[R]], Table], *, json: bool, none: str
) -> None:
    """Print a list on standard output: an array for a program, a table or a sentence else."""
    if json:
        print_json(found)
    elif found:
        fitting = console if console.is_terminal else Console(width=_NO_LIMIT)
        fitting.print(tabulate(found))
    else:
        console.print(none, markup=False)


def print_json(found: Sequence[Record]) -> None:
    """Print an array on standard output."""
    typer.echo(plain_json.dumps([each.model_dump(mode="json") for each in found], indent=2))


@contextmanager
def tell_progress(total: int) -> Iterator[Callable[[str], None]]:
    """Lend what is told of each thing that is done; a terminal shows how many are."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda name: progress.update(bar, advance=1, description=escape(name))


def moment(when: datetime | None) -> str:
    """Write a moment in this machine's time zone."""
    return "–" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
