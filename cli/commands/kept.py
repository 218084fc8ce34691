# SPDX-License-Identifier: Apache-2.0
"""Commands for machines that were left on their host for a person to decide about."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.ledgers import ledger_of
from cli.options import Json, Options
from cli.printing import console, moment, show_all
from tradewind.errors import NotFoundError
from tradewind.model.ledger import Kept

kept_app = typer.Typer(
    help="Machines that need a decision. They were kept after a failed boot, or left"
    " by a run that was killed before they were written down; nothing removes them by itself."
)

Run = Annotated[
    str, typer.Argument(help="Id of the run that created it; see `tradewind kept list`.")
]


@kept_app.command("list")
def list_kept(options: Options = "default", json: Json = False) -> None:
    """List the machines that need a decision.

    Shows the reason for each, and the commands that settle it.
    """
    from tradewind.ledger import kept  # noqa: PLC0415

    with ledger_of(options) as ledger:
        found = kept.all_kept(ledger)
    show_all(found, kept_table, json=json, none="no machine waits for a person")


@kept_app.command("accept")
def accept(run: Run, options: Options = "default") -> None:
    """Remove a machine from the list.

    For a machine that you keep as it is, or have removed.
    """
    from tradewind.ledger import kept  # noqa: PLC0415

    with ledger_of(options) as ledger:
        accepted = kept.accept(ledger, run)
    if accepted is None:
        raise NotFoundError(f"no machine of run {run} waits", "tradewind kept list")
    console.print(f"{accepted.domain} on {accepted.destination} waits no more", markup=False)


def kept_table(found: Sequence[Kept]) -> Table:
    """Lay out machines that wait, with the commands."""
    table = Table("machine", "host", "since", "why", "to keep it", "to remove it, on its host")
    for each in found:
        table.add_row(
            Text(each.domain),  # a name may contain what means something to rich
            Text(each.destination),
            moment(each.since),
            Text(each.why),
            Text(each.to_keep),
            Text(each.to_remove),
        )
    return table
