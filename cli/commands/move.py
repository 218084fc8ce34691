# SPDX-License-Identifier: Apache-2.0
"""Commands of a whole move: begin it, and answer when it asks."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from cli import completion, parsing
from cli.commands.packages import AllowUnknownOs, PackagesFolder, folder_of
from cli.options import (
    Destination,
    HardwareChoices,
    Images,
    Json,
    Machine,
    Networks,
    OnFailure,
    Options,
    RootDevice,
    Secrets,
    Source,
)
from cli.printing import show
from tradewind.errors import NotFoundError, OptionError
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.migrate import Answer, Go, MigrateRequest
from tradewind.reports.move import migrate_markdown

console = Console()


def migrate(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    images: Images = False,
    name: Annotated[str | None, typer.Option(help="Name of the new machine.")] = None,
    network: Networks = None,
    on_boot_failure: OnFailure = OnBootFailure.REMOVE,
    hardware: HardwareChoices = None,
    root_device: RootDevice = "",
    guest_secrets: Secrets = "",
    at_once: Annotated[bool, typer.Option("--at-once", help="Shut down without approval.")] = False,
    window: Annotated[
        str | None,
        typer.Option(
            help="Window: OPENS or OPENS/CLOSES, as in 2026-12-01T02:00+01:00/2026-12-01T04:00Z."
        ),
    ] = None,
    small_enough: Annotated[
        int, typer.Option(help="Stop replicating when a round sends no more than this many MiB.")
    ] = 64,
    rounds: Annotated[
        int, typer.Option(help="Maximum number of replication rounds before the shutdown.")
    ] = 5,
    force_off: Annotated[
        bool, typer.Option(help="Power the machine off if it does not shut down.")
    ] = False,
    packages_folder: PackagesFolder = None,
    allow_unknown_os: AllowUnknownOs = False,
    json: Json = False,
) -> None:
    """Move a machine with a short outage.

    It is replicated while it runs. Then, once somebody has approved or the window has opened, it
    is shut down, the last changes are sent, and the new machine boots on the destination. If
    anything fails after the shutdown, the machine is started where it was.
    """
    from flows.migrate import migrate as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tradewind.model.deploy_options import DeployOptions  # noqa: PLC0415
    from tradewind.model.requests import TransferRequest  # noqa: PLC0415

    opens, closes = _window(window)
    go = Go.TIME if opens else Go.APPROVAL
    request = MigrateRequest(
        transfer=TransferRequest(
            machine=machine,
            source=source,
            source_kind=parsing.source_kind(images=images),
            destination=destination,
            options=options,
        ),
        deploy_options=DeployOptions(
            name=name,
            network_map=parsing.network_map(network or []),
            on_boot_failure=on_boot_failure,
            packages_folder=folder_of(packages_folder),
            allow_unknown_os=allow_unknown_os,
            hardware=parsing.hardware(hardware or []),
            root_device=root_device,
            guest_secrets=guest_secrets,
        ),
        go=Go.AT_ONCE if at_once else go,
        window_opens=opens,
        window_closes=closes,
        small_enough=small_enough,
        rounds=rounds,
        force_off=force_off,
    )
    show(flow(request), migrate_markdown, json=json)


def answer(
    machine: Annotated[
        str,
        typer.Argument(
            help="Machine whose move waits for an answer.", autocompletion=completion.machines
        ),
    ],
    decision: Annotated[Answer, typer.Argument(help="The answer.")],
    minutes: Annotated[
        int, typer.Option(help="With postpone: ask again after this many minutes.")
    ] = 60,
    operator: Annotated[str, typer.Option(help="Your name, for the report.")] = "",
) -> None:
    """Approve, postpone or cancel a move that waits for an answer."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.filters import FlowRunFilter  # noqa: PLC0415

    waiting = {"name": {"any_": [f"migrate-{machine}"]}, "state": {"type": {"any_": ["PAUSED"]}}}
    said = {"answer": decision.value, "postpone_minutes": minutes, "operator": operator}
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(waiting))
        if not found:
            raise NotFoundError(
                f"no move of “{machine}” waits for a decision", "see what runs in Prefect's UI"
            )
        for run in found:
            client.resume_flow_run(run.id, run_input=said)
    console.print(f"move of {machine}: {decision.value}")


def _window(text: str | None) -> tuple[datetime | None, datetime | None]:
    if not text:
        return None, None
    opens, _, closes = text.partition("/")
    return _moment(opens), _moment(closes) if closes else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OptionError(
            f"--window: “{text}” is no time", "write 2026-12-01T02:00+01:00"
        ) from None
    if moment.tzinfo is None:
        raise OptionError(f"--window: “{text}” has no time zone", "write 2026-12-01T02:00+01:00")
    return moment
