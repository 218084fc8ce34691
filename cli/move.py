# SPDX-License-Identifier: Apache-2.0
"""Commands of a whole move: begin it, and answer when it asks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from cli import setup
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
from cli.packages import AllowUnknownOs, PackagesFolder, folder_of
from cli.printing import show
from tradewind.errors import NotFoundError, OptionError
from tradewind.model.landing import OnBootFailure

console = Console()


class Decided(StrEnum):
    """What a person can say."""

    APPROVE = "approve"
    POSTPONE = "postpone"
    CANCEL = "cancel"


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
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Shut down without asking anybody.")
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(help="OPENS or OPENS/CLOSES, as in 2026-12-01T02:00+01:00/2026-12-01T04:00Z."),
    ] = None,
    small_enough: Annotated[int, typer.Option(help="MiB that may be left to send.")] = 64,
    rounds: Annotated[int, typer.Option(help="Replicate at most so often before.")] = 5,
    force_off: Annotated[
        bool, typer.Option(help="Switch the machine off when it does not shut down.")
    ] = False,
    packages_folder: PackagesFolder = None,
    allow_unknown_os: AllowUnknownOs = False,
    json: Json = False,
) -> None:
    """Move a machine: replicate, ask, shut down, send the rest, start it over there.

    If anything fails after the shutdown, the machine is started where it was.
    """
    from flows.migrate import migrate as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tasks.move_reports import migrate_markdown  # noqa: PLC0415
    from tradewind.model.landing import Landing  # noqa: PLC0415
    from tradewind.model.migrate import Go, MigrateRequest  # noqa: PLC0415
    from tradewind.model.requests import SourceKind, TransferRequest  # noqa: PLC0415

    opens, closes = _window(window)
    go = Go.TIME if opens else Go.APPROVAL
    request = MigrateRequest(
        transfer=TransferRequest(
            machine=machine,
            source=source,
            source_kind=SourceKind.IMAGES if images else SourceKind.LIBVIRT,
            destination=destination,
            options=options,
        ),
        landing=Landing(
            name=name,
            network_map=setup.network_map(network or []),
            on_boot_failure=on_boot_failure,
            packages_folder=folder_of(packages_folder),
            allow_unknown_os=allow_unknown_os,
            hardware=setup.hardware(hardware or []),
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
    machine: Annotated[str, typer.Argument(help="The machine whose move waits.")],
    decision: Annotated[Decided, typer.Argument(help="What shall happen.")],
    minutes: Annotated[int, typer.Option(help="When postponed: ask again after so many.")] = 60,
    operator: Annotated[str, typer.Option(help="Your name, for the report.")] = "",
) -> None:
    """Answer a move that waits for a decision: approve, postpone or cancel it."""
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
