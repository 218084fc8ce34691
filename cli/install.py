# SPDX-License-Identifier: Apache-2.0
"""`tradewind setup`: everything that the project needs on a Prefect server."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cli.installing import Installed
    from cli.server import Advice

console = Console()

Reset = Annotated[
    bool,
    typer.Option(
        "--reset", help="Take schedules, limits, parameters and triggers from the project again."
    ),
]


def setup(
    reset: Reset = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome for a program.")] = False,
) -> None:
    """Bring a Prefect server to what this checkout says; again after each update.

    Registers the block types, makes the work pool, the deployments of prefect.yaml with their
    limits and schedules, and the automations. What an operator has changed (schedules, pauses,
    limits, parameters, triggers) is left alone and named; --reset takes the project's again.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - takes seconds to import

    from cli import automations, installing, server  # noqa: PLC0415

    with server.told_apart(), get_client(sync_client=True) as client:
        done = [
            *installing.block_types(client),
            *installing.work_pools(client),
            *installing.deployments(client, reset=reset),
            *automations.install(client, reset=reset),
        ]
        advice = server.look_at(client)
    if json:
        typer.echo(server.Outcome(installed=tuple(done), advice=advice).model_dump_json(indent=2))
    else:
        _show(done, advice)


class Role(StrEnum):
    """Whose settings."""

    SERVER = "server"
    WORKER = "worker"


def settings(role: Annotated[Role, typer.Argument(help="Whose settings.")]) -> None:
    """Print the settings of Prefect's server or of a worker, as an environment file.

    For a shell: set -a; . <(tradewind settings server); set +a. For systemd: store it as
    /etc/tradewind/server.env.
    """
    from cli.project import SETTINGS  # noqa: PLC0415

    typer.echo((SETTINGS / f"{role}.env").read_text(), nl=False)


def _show(done: "list[Installed]", advice: "tuple[Advice, ...]") -> None:
    table = Table("", "name", "was", "note")
    for each in done:
        table.add_row(each.kind, Text(each.name), each.what, Text("; ".join(each.notes)))
    console.print(table)
    for lack in advice:
        console.print(f"{lack.what}\n  → {lack.remedy}", markup=False, soft_wrap=True)
