# SPDX-License-Identifier: Apache-2.0
"""`tradewind`: the commands."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markdown import Markdown

from cli import setup
from tradewind.errors import BadInputError, NotFoundError, TradewindError
from tradewind.model.record import Record, faults

app = typer.Typer(
    help="Move virtual machines onto Linux KVM hosts. Transfers, deployments and sweeps are "
    "Prefect flow runs; PREFECT_API_URL says which server records them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold keys
)
app.add_typer(setup.endpoint_app, name="endpoint")
app.add_typer(setup.options_app, name="options")
app.add_typer(setup.images_app, name="images")
console = Console()

Machine = Annotated[str, typer.Argument(help="Name or UUID of the machine on its source.")]
Source = Annotated[str, typer.Option("--from", help="Block of the source.")]
Destination = Annotated[str, typer.Option("--to", help="Endpoint block of the destination.")]
Options = Annotated[str, typer.Option("--options", help="Block of the provider options.")]
Images = Annotated[bool, typer.Option("--images", help="The source is a disk image block.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report for a program.")]

R = TypeVar("R", bound=Record)


def _show(report: R, markdown: Callable[[R], str], *, json: bool) -> None:
    """Print a report on standard output: for a person, or for a program."""
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console.print(Markdown(markdown(report)))


@app.command()
def transfer(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    images: Images = False,
    json: Json = False,
) -> None:
    """Bring the replica of a machine up to date."""
    from flows.transfer import transfer as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tasks.reports import transfer_markdown  # noqa: PLC0415
    from tradewind.model.requests import SourceKind, TransferRequest  # noqa: PLC0415

    request = TransferRequest(
        machine=machine,
        source=source,
        source_kind=SourceKind.IMAGES if images else SourceKind.LIBVIRT,
        destination=destination,
        options=options,
    )
    _show(flow(request), transfer_markdown, json=json)


@app.command()
def deploy(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    name: Annotated[str | None, typer.Option(help="Name of the new machine.")] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="SOURCE=DESTINATION network, or a default for all.")
    ] = None,
    json: Json = False,
) -> None:
    """Turn a replica into a running machine."""
    from flows.deploy import deploy as flow  # noqa: PLC0415
    from tasks.reports import deploy_markdown  # noqa: PLC0415
    from tradewind.model.requests import DeployRequest  # noqa: PLC0415

    request = DeployRequest(
        machine=machine,
        source=source,
        destination=destination,
        options=options,
        name=name,
        network_map=setup.network_map(network or []),
    )
    _show(flow(request), deploy_markdown, json=json)


@app.command()
def report(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
) -> None:
    """Print the report of a machine's last transfer or deployment."""
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415
    from tasks.reports import markdown_of  # noqa: PLC0415
    from tradewind.ledger import open_ledger  # noqa: PLC0415

    place = load_block(ProviderOptionsBlock, options).options().sqlite_database_file
    with open_ledger(place) as ledger:
        last = ledger.last_report(ledger.find_transfer(source, destination, machine))
    if last is None:
        raise NotFoundError(f"no run of {machine} has ended well yet", "run the transfer again")
    console.print(Markdown(markdown_of(*last)))


@app.command("stage-worker-image")
def stage_worker_image(
    image: Annotated[Path, typer.Argument(help="The qcow2 image, as images/ builds it.")],
    pool: Annotated[str, typer.Option(help="A dir pool of the host.")],
    destination: Destination,
    volume: Annotated[str, typer.Option(help="Name of the volume.")] = "tradewind-worker.qcow2",
) -> None:
    """Put the worker image into a dir pool of a host, when it is not there already."""
    from flows.stage_worker_image import stage_worker_image as flow  # noqa: PLC0415

    console.print(flow(destination, pool, str(image), volume))


@app.command()
def sweep(
    endpoints: Annotated[list[str], typer.Argument(help="Endpoint blocks to look at.")],
    options: Options = "default",
    dry_run: Annotated[bool, typer.Option(help="Only say what would be removed.")] = False,
) -> None:
    """Remove what crashed runs left on hosts."""
    from flows.sweep import sweep as flow  # noqa: PLC0415
    from tasks.reports import sweep_markdown  # noqa: PLC0415

    reports = flow(endpoints, options=options, dry_run=dry_run)
    console.print(Markdown(sweep_markdown(reports, dry_run=dry_run)))


def main() -> None:
    """Run a command; an expected error is a sentence and an exit code (2: bad input)."""
    try:
        app()
    except TradewindError as error:
        _complain("\n".join((str(error), *getattr(error, "__notes__", ()))))
        sys.exit(2 if isinstance(error, BadInputError) else 1)
    except ValidationError as error:
        _complain(faults(error))
        sys.exit(2)


def _complain(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False)


if __name__ == "__main__":
    main()
