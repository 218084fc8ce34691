# SPDX-License-Identifier: Apache-2.0
"""Commands that store endpoints and options in Prefect, and look at hosts."""

import base64
import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.storage import NetworkMap

console = Console()
endpoint_app = typer.Typer(help="Hosts: sources and destinations.", no_args_is_help=True)
options_app = typer.Typer(help="Provider options.", no_args_is_help=True)
images_app = typer.Typer(help="Folders of disk images as sources.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the block.")]


@endpoint_app.command("add")
def add_endpoint(
    name: Name,
    host: Annotated[str, typer.Option(help="Name or address of the KVM host.")],
    username: Annotated[str, typer.Option(help="Account in the groups libvirt and kvm.")],
    key: Annotated[Path, typer.Option(help="SSH private key; its content is stored as a secret.")],
    host_key: Annotated[str, typer.Option(help="known_hosts line or SHA256:… fingerprint.")] = "",
    port: Annotated[int, typer.Option(help="SSH port.")] = 22,
) -> None:
    """Store how a host is reached, and look at it."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415 - Prefect takes seconds to import
    from tradewind.remote.keys import private_key_from_file  # noqa: PLC0415

    text = private_key_from_file(key, "--key").get_secret_value()
    endpoint = LibvirtEndpoint(
        host=host,
        port=port,
        username=username,
        private_key_base64=base64.b64encode(text.encode()).decode(),
        host_key=host_key,
    )
    endpoint.save(name, overwrite=True)
    validate_endpoint(name)


@endpoint_app.command("validate")
def validate_endpoint(name: Name) -> None:
    """Connect to a host and say everything that is missing at once; nothing is changed."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from tradewind.host.connection import connect  # noqa: PLC0415
    from tradewind.host.facts import survey  # noqa: PLC0415
    from tradewind.host.validate import findings  # noqa: PLC0415

    with connect(load_block(LibvirtEndpoint, name).access()) as connection:
        facts = survey(connection)
        found = findings(connection, facts)
    table = Table(title=f"{name}: {facts.hostname}", show_header=False)
    for key, value in facts.model_dump(exclude={"cpu_features"}).items():
        table.add_row(key, ", ".join(value) if isinstance(value, tuple) else str(value))
    console.print(table)
    for finding in found:
        console.print(f"{finding.severity}: {finding.what}", markup=False)
        console.print(f"  → {finding.remedy}", markup=False)
    if not found:
        console.print("nothing is missing")


@options_app.command("set")
def set_options(
    assignments: Annotated[
        list[str], typer.Argument(help="option=value, for example default_storage_pool=default.")
    ],
    name: Annotated[str, typer.Option(help="Name of the block.")] = "default",
) -> None:
    """Store provider options; what is not named stays as it was."""
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    pairs: dict[str, object] = {}
    with contextlib.suppress(NotFoundError):
        pairs.update(load_block(ProviderOptionsBlock, name).options().model_dump())
    pairs.update(_split(assignment) for assignment in assignments)
    ProviderOptionsBlock(**pairs).save(name, overwrite=True)
    console.print(f"provider options “{name}” stored")


@options_app.command("import")
def import_options(
    file: Annotated[
        Path, typer.Argument(help="INI file with a section libvirt_migration_provider.")
    ],
    name: Annotated[str, typer.Option(help="Name of the block.")] = "default",
) -> None:
    """Store the provider options of an INI file."""
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415
    from tradewind.model.option_file import read_ini  # noqa: PLC0415

    ProviderOptionsBlock(**read_ini(file).model_dump()).save(name, overwrite=True)
    console.print(f"provider options “{name}” stored from {file}")


@images_app.command("add")
def add_images(
    name: Name, folder: Annotated[Path, typer.Argument(help="Folder with <machine>.toml files.")]
) -> None:
    """Store a folder of disk images as a source."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415

    DiskImageFolder(folder=str(folder.resolve())).save(name, overwrite=True)
    console.print(f"disk images “{name}” stored")


def network_map(mappings: list[str]) -> NetworkMap:
    """Read SOURCE=DESTINATION pairs; a single name without “=” is the default for all."""
    default = [mapping for mapping in mappings if "=" not in mapping]
    return NetworkMap(
        networks=dict(_split(mapping) for mapping in mappings if "=" in mapping),
        default=default[0] if default else None,
    )


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise OptionError(f"“{assignment}” is not option=value", "write it as option=value")
    return key.strip(), value.strip()
