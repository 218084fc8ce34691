# SPDX-License-Identifier: Apache-2.0
"""`tradewind`: the commands."""

import logging
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from cli import deployments, drain, groups, install, move, preflight, setup
from cli.endings import EPILOG, ending_of
from cli.ledgers import ledger_of
from cli.machines import machines_app
from cli.options import Destination, Json, Machine, Options, Source
from cli.packages import packages_app
from cli.printing import print_json
from cli.schedules import schedule_app
from cli.transfers import transfer_app
from cli.worker_images import worker_image_app
from tradewind.errors import NotFoundError

app = typer.Typer(
    help="Move virtual machines onto Linux KVM hosts. Transfers, deployments and sweeps are "
    "Prefect flow runs; PREFECT_API_URL says which server records them.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold keys
)
app.add_typer(setup.endpoint_app, name="endpoint")
app.add_typer(setup.options_app, name="options")
app.add_typer(setup.images_app, name="images")
app.add_typer(machines_app, name="machines")
app.add_typer(worker_image_app, name="worker-image")
app.add_typer(transfer_app, name="transfer")
app.add_typer(schedule_app, name="schedule")
app.add_typer(packages_app, name="packages")
console = Console()


app.command()(preflight.preflight)
app.command()(deployments.deploy)
app.command()(deployments.rehearse)
app.command()(groups.replicate)
app.command()(groups.status)
app.command()(move.migrate)
app.command()(move.answer)
app.command("setup")(install.setup)
app.command("settings")(install.settings)
app.command()(drain.drain)
app.command()(drain.resume)


@app.command()
def report(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    json: Json = False,
) -> None:
    """Print the report of a machine's last transfer or deployment."""
    from tasks.reports import markdown_of  # noqa: PLC0415

    with ledger_of(options) as ledger:
        last = ledger.last_report(ledger.find_transfer(source, destination, machine))
    if last is None:
        raise NotFoundError(f"no run of {machine} has ended well yet", "run the transfer again")
    if json:
        typer.echo(last[1])
    else:
        console.print(Markdown(markdown_of(*last)))


@app.command()
def sweep(
    endpoints: Annotated[
        list[str] | None, typer.Argument(help="Endpoint blocks to look at; all without any.")
    ] = None,
    options: Options = "default",
    dry_run: Annotated[bool, typer.Option(help="Only say what would be removed.")] = False,
    json: Json = False,
) -> None:
    """Remove what crashed runs left on hosts."""
    from flows.sweep import sweep as flow  # noqa: PLC0415
    from tasks.reports import sweep_markdown  # noqa: PLC0415

    reports = flow(endpoints or (), options=options, dry_run=dry_run)
    if json:
        print_json(reports)
    else:
        console.print(Markdown(sweep_markdown(reports, dry_run=dry_run)))


@app.command("give-up")
def give_up(
    controller: Annotated[str, typer.Argument(help="Name of the machine (its hostname).")],
    options: Options = "default",
) -> None:
    """Declare a machine that ran flows as gone for good: what it was at counts as dead.

    Only somebody who knows can say so. If its flows still run, two may write to one replica.
    """
    with ledger_of(options) as ledger:
        lost = ledger.give_up(controller)
    console.print(f"{len(lost)} runs of {controller} count as dead; now: tradewind sweep")


def main() -> None:
    """Run a command; an expected error is a sentence and an exit code (cli/endings.py)."""
    # At the end Prefect's client warns that an event is still on its way, as one always is.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    try:
        app()
    except BaseException as error:
        ending = ending_of(error)
        if ending is None:
            raise
        code, sentence = ending
        Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False)
        sys.exit(code)


if __name__ == "__main__":
    main()
