# SPDX-License-Identifier: Apache-2.0
"""Commands for machines that run flows."""

from typing import Annotated

import typer

from cli.ledgers import ledger_of
from cli.options import Options
from cli.printing import console

controller_app = typer.Typer(help="Machines that ran flows.", no_args_is_help=True)

Controller = Annotated[str, typer.Argument(help="Hostname of the controller.")]


@controller_app.callback()
def _group() -> None:
    pass


@controller_app.command()
def forget(controller: Controller, options: Options = "default") -> None:
    """Mark a controller as permanently lost.

    Its unfinished runs are treated as dead. Make sure that they are:
    if its flows still run, two may write to one replica.
    """
    with ledger_of(options) as ledger:
        lost = ledger.give_up(controller)
    console.print(f"{len(lost)} runs of {controller} count as dead; now: tradewind sweep")


def give_up(controller: Controller, options: Options = "default") -> None:
    """Mark a controller as permanently lost. The old name of `controller forget`."""
    console.print("“give-up” is “controller forget” now; the old name goes with the next release.")
    forget(controller, options)
