# SPDX-License-Identifier: Apache-2.0
"""`tradewind`: the commands."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from cli.lazy import LazyCommand, LazyGroup

EPILOG = (
    "Exit codes: 0 done, 1 failed while at work, 2 refused before anything was made,"
    " 130 interrupted with ^C, 143 stopped by SIGTERM."
)

COMMANDS = (
    LazyCommand(
        "setup", "cli.commands.setup:setup", "Configure the Prefect server from this checkout."
    ),
    LazyCommand(
        "settings",
        "cli.commands.setup:settings",
        "Print the settings for Prefect's server or worker.",
        offline=("settings",),
    ),
    LazyCommand(
        "endpoint", "cli.commands.endpoints:endpoint_app", "Hosts: sources and destinations."
    ),
    LazyCommand("images", "cli.commands.images:images_app", "Folders of disk images as sources."),
    LazyCommand("options", "cli.commands.provider_options:options_app", "Provider options."),
    LazyCommand(
        "worker-image",
        "cli.commands.worker_images:worker_image_app",
        "The image of the temporary workers.",
        offline=("build",),
    ),
    LazyCommand("machines", "cli.commands.machines:machines_app", "Machines of a source."),
    LazyCommand(
        "preflight",
        "cli.commands.preflight:preflight",
        "Check what a move needs; report all problems at once.",
    ),
    LazyCommand("transfer", "cli.commands.transfers:transfer_app", "Replicas of single machines."),
    LazyCommand(
        "schedule",
        "cli.commands.schedules:schedule_app",
        "Scheduled transfers of machines and groups.",
    ),
    LazyCommand(
        "replicate",
        "cli.commands.groups:replicate",
        "Update the replicas of a group of machines.",
    ),
    LazyCommand(
        "status", "cli.commands.status:status", "Show each replica's lag and next scheduled run."
    ),
    LazyCommand(
        "rehearse",
        "cli.commands.deploy:rehearse",
        "Boot a clone on an isolated network, then remove it.",
    ),
    LazyCommand("deploy", "cli.commands.deploy:deploy", "Deploy a replica as a running machine."),
    LazyCommand(
        "migrate",
        "cli.commands.move:migrate",
        "Move a machine with a short outage.",
    ),
    LazyCommand(
        "answer",
        "cli.commands.move:answer",
        "Approve, postpone or cancel a move that waits for an answer.",
    ),
    LazyCommand(
        "move",
        "cli.commands.unfinished_moves:move_app",
        "Moves that were interrupted during the outage.",
    ),
    LazyCommand(
        "report",
        "cli.commands.report:report",
        "Print the report of a machine's last transfer or deployment.",
    ),
    LazyCommand(
        "kept",
        "cli.commands.kept:kept_app",
        "Machines that need a decision.",
    ),
    LazyCommand("sweep", "cli.commands.sweep:sweep", "Remove what killed runs left on hosts."),
    LazyCommand(
        "controller", "cli.commands.controllers:controller_app", "Machines that ran flows."
    ),
    LazyCommand(
        "packages",
        "cli.commands.packages:packages_app",
        "Packages for guests that cannot reach their repositories.",
        offline=("prepare",),
    ),
    LazyCommand(
        "drain",
        "cli.commands.drain:drain",
        "Pause the work pool and wait until nothing runs.",
    ),
    LazyCommand("resume", "cli.commands.drain:resume", "Resume the work pool."),
    LazyCommand(
        "doctor",
        "cli.commands.doctor:doctor",
        "Check the whole installation; report all problems at once.",
    ),
    LazyCommand(
        "give-up",
        "cli.commands.controllers:give_up",
        "Old name of `controller forget`.",
        hidden=True,
    ),
)


class Commands(LazyGroup):
    """All commands of `tradewind`."""

    lazy: ClassVar[tuple[LazyCommand, ...]] = COMMANDS


app = typer.Typer(
    cls=Commands,
    help="Move virtual machines onto Linux KVM hosts. Transfers, deployments and sweeps are "
    "Prefect flow runs; PREFECT_API_URL says which server records them.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # its tables cut the names of options off at 80 columns
    pretty_exceptions_show_locals=False,  # locals hold keys
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tradewind {version('tradewind')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run a command; an expected error is a sentence and an exit code (cli/exit_codes.py)."""
    # At the end Prefect's client warns that an event is still on its way, as one always is.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    try:
        app()
    except SystemExit:
        raise
    except BaseException as error:
        from rich.console import Console  # noqa: PLC0415 - only an error needs them

        from cli.exit_codes import ending_of  # noqa: PLC0415

        ending = ending_of(error)
        if ending is None:
            raise
        code, sentence = ending
        Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False)
        sys.exit(code)


if __name__ == "__main__":
    main()
