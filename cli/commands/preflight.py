# SPDX-License-Identifier: Apache-2.0
"""The command that looks before anything is moved."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import parsing
from cli.options import (
    Destination,
    HardwareChoices,
    Images,
    Json,
    Machine,
    Networks,
    Options,
    Source,
)
from tradewind.model.finding import Severity
from tradewind.model.preflight import PreflightReport
from tradewind.reports.preflight import verdict

NOT_READY = 2
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def preflight(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    images: Images = False,
    name: Annotated[str | None, typer.Option(help="Name of the new machine.")] = None,
    network: Networks = None,
    hardware: HardwareChoices = None,
    json: Json = False,
) -> None:
    """Check what a move needs; report all problems at once.

    Changes nothing. Exits with 2 if any problem is an error.
    """
    from flows.preflight import preflight as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tradewind.model.deploy_options import DeployOptions  # noqa: PLC0415
    from tradewind.model.preflight import PreflightRequest  # noqa: PLC0415
    from tradewind.model.requests import TransferRequest  # noqa: PLC0415

    request = PreflightRequest(
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
            hardware=parsing.hardware(hardware or []),
        ),
    )
    report = flow(request)
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report)
    if not report.ready:
        raise typer.Exit(NOT_READY)


def _show(report: PreflightReport) -> None:

    console = Console()
    table = Table("", "of", "what", "remedy", title=f"{report.source} → {report.destination}")
    for area, found in report.sorted_findings():
        # Text: a name may contain what means something to rich.
        severity = Text(found.severity, _COLOURS[found.severity])
        what = Text(f"{found.what}\n({found.evidence})")
        table.add_row(severity, area, what, Text(found.remedy))
    if table.row_count:
        console.print(table)
    console.print(f"{report.machine}: {verdict(report)}", markup=False)
    if report.skipped:
        console.print(f"not looked at, because of the errors: {', '.join(report.skipped)}")
