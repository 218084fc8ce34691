# SPDX-License-Identifier: Apache-2.0
"""Commands for a move whose process died in its outage: finish it, or undo it."""

from typing import Annotated

import typer

from cli.ledgers import ledger_of
from cli.options import Json, Machine, OptionalDestination, OptionalSource, Options
from cli.printing import show
from tradewind.model.cutover import MoveName, Outage
from tradewind.reports.move import settled_markdown

move_app = typer.Typer(help="Moves that were interrupted during the outage.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
AcceptEdits = Annotated[
    bool,
    typer.Option("--accept-edits", help="Continue although the machine was edited meanwhile."),
]


@move_app.command()
def resume(
    machine: Machine,
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    options: Options = "default",
    accept_edits: AcceptEdits = False,
    json: Json = False,
) -> None:
    """Finish an interrupted move.

    Uses the new machine if it exists; otherwise sends the last changes and deploys it again.
    Refused while the process that began the move lives, or the original runs.
    """
    from flows.resume_move import resume_move  # noqa: PLC0415 - Prefect takes seconds to import

    outage = _find(machine, source, destination, options)
    request = _request(outage, options, accept_edits=accept_edits)
    show(resume_move(request), settled_markdown, json=json)


@move_app.command()
def rollback(
    machine: Machine,
    source: OptionalSource = None,
    destination: OptionalDestination = None,
    options: Options = "default",
    accept_edits: AcceptEdits = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Undo an interrupted move.

    Removes the new machine, then starts the original once the new machine is proven gone or off.
    """
    from flows.roll_back_move import roll_back_move  # noqa: PLC0415 - as above

    outage = _find(machine, source, destination, options)
    if outage.new and not outage.phase.is_final and not yes:
        typer.confirm(
            f"{outage.new.name} may have run on {outage.destination} since"
            f" {outage.begun:%H:%M} UTC: what was written to it is lost. Go back?",
            abort=True,
            err=True,
        )
    request = _request(outage, options, accept_edits=accept_edits)
    show(roll_back_move(request), settled_markdown, json=json)


def _find(machine: str, source: str | None, destination: str | None, options: str) -> Outage:
    with ledger_of(options) as ledger:
        return ledger.outages.find(machine, source, destination)


def _request(outage: Outage, options: str, *, accept_edits: bool) -> MoveName:
    return MoveName(
        machine=outage.machine.id,
        source=outage.source,
        destination=outage.destination,
        options=options,
        accept_edits=accept_edits,
    )
