# SPDX-License-Identifier: Apache-2.0
"""`tradewind setup`: everything that the project needs on a Prefect server."""

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradewind.errors import NotFoundError, OptionError

if TYPE_CHECKING:
    from deployments.advice import Advice
    from deployments.installing import Installed

console = Console()

Reset = Annotated[
    bool,
    typer.Option(
        "--reset", help="Restore schedules, limits, parameters and triggers from this checkout."
    ),
]


def setup(
    reset: Reset = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Configure the Prefect server from this checkout. Re-run after each update.

    Registers the block types, and creates the work pool, the deployments of prefect.yaml with
    their limits and schedules, and the automations. Keeps what an operator has changed (schedules,
    pauses, limits, parameters, triggers) and names it; --reset restores the project's values.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - takes seconds to import

    from deployments import automations, installing, server  # noqa: PLC0415
    from deployments.workers import missing_worker  # noqa: PLC0415

    with server.told_apart(), get_client(sync_client=True) as client:
        done = [
            *installing.block_types(client),
            *installing.work_pools(client),
            *installing.deployments(client, reset=reset),
            *automations.install(client, reset=reset),
        ]
        found = (*server.look_at(client), missing_worker(), outgrown())
    advice = tuple(each for each in found if each is not None)
    if json:
        typer.echo(
            server.SetupResult(installed=tuple(done), advice=advice).model_dump_json(indent=2)
        )
    else:
        _show(done, advice)


def outgrown() -> "Advice | None":
    """Advise another database when more is scheduled than SQLite is good for."""
    from deployments.advice import outgrown_sqlite  # noqa: PLC0415
    from deployments.stored_options import stored_options  # noqa: PLC0415
    from deployments.stored_transfers import StoredTransfers  # noqa: PLC0415

    with contextlib.suppress(NotFoundError, OptionError):  # no options yet, and no transfers
        ledger = stored_options("default").sqlite_database_file
        return outgrown_sqlite(len(StoredTransfers().schedules(planned=False)), ledger)
    return None


class SettingsRole(StrEnum):
    """Whose settings."""

    SERVER = "server"
    WORKER = "worker"


def settings(role: Annotated[SettingsRole, typer.Argument(help="server or worker.")]) -> None:
    """Print the settings for Prefect's server or worker.

    They are an environment file. For a shell: set -a; . <(tradewind settings server); set +a. For
    systemd: store it as /etc/tradewind/server.env.
    """
    from deployments.project import SETTINGS  # noqa: PLC0415

    typer.echo((SETTINGS / f"{role}.env").read_text(), nl=False)


def _show(done: "list[Installed]", advice: "tuple[Advice, ...]") -> None:
    table = Table("", "name", "was", "note")
    for each in done:
        table.add_row(each.kind, Text(each.name), each.what, Text("; ".join(each.notes)))
    console.print(table)
    for lack in advice:
        console.print(f"{lack.what}\n  → {lack.remedy}", markup=False, soft_wrap=True)
