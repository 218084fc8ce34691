# SPDX-License-Identifier: Apache-2.0
"""Commands that store endpoints and options in Prefect, and look at hosts."""

import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.options import Json
from cli.printing import show_all
from tradewind.errors import NotFoundError, OptionError
from tradewind.model.finding import Finding
from tradewind.model.hardware import Hardware
from tradewind.model.host import HostFacts, WorkerAccess
from tradewind.model.network import MAC, NetworkMap
from tradewind.model.options import ProviderOptions
from tradewind.model.record import Record

console = Console()
endpoint_app = typer.Typer(help="Hosts: sources and destinations.", no_args_is_help=True)
options_app = typer.Typer(help="Provider options.", no_args_is_help=True)
images_app = typer.Typer(help="Folders of disk images as sources.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the block.")]
BandwidthLimit = Annotated[
    int | None, typer.Option(help="Mbit/s that all transfers from there may send together.")
]


@endpoint_app.command("add")
def add_endpoint(
    name: Name,
    host: Annotated[str, typer.Option(help="Name or address of the KVM host.")],
    username: Annotated[str, typer.Option(help="Account in the groups libvirt and kvm.")],
    key: Annotated[Path, typer.Option(help="SSH private key; its content is stored as a secret.")],
    host_key: Annotated[str, typer.Option(help="known_hosts line or SHA256:… fingerprint.")] = "",
    port: Annotated[int, typer.Option(help="SSH port.")] = 22,
    via_host: Annotated[
        bool, typer.Option("--via-host", help="Reach its workers through the host (NAT networks).")
    ] = False,
    bandwidth_limit: BandwidthLimit = None,
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
        worker_access=WorkerAccess.VIA_HOST if via_host else WorkerAccess.DIRECT,
        bandwidth_limit=bandwidth_limit,
    )
    endpoint.save(name, overwrite=True)
    validate_endpoint(name)


class ListedEndpoint(Record):
    """A host as it is stored; its key is not told."""

    name: str = Field(description="Name of the block.")
    host: str = Field(description="Name or address.")
    port: int = Field(description="SSH port.")
    username: str = Field(description="Account there.")
    worker_access: WorkerAccess = Field(description="How its workers are reached.")
    bandwidth_limit: int | None = Field(description="Mbit/s that all transfers from it may send.")


@endpoint_app.command("list")
def list_endpoints(json: Json = False) -> None:
    """List the hosts that are stored."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import block_names, load_block  # noqa: PLC0415

    kept = set(ListedEndpoint.model_fields) - {"name"}
    found = [
        ListedEndpoint(name=name, **load_block(LibvirtEndpoint, name).model_dump(include=kept))
        for name in block_names(LibvirtEndpoint)
    ]
    show_all(found, endpoint_table, json=json, none="no host is stored: tradewind endpoint add")


def endpoint_table(found: Sequence[ListedEndpoint]) -> Table:
    """Lay out hosts."""
    table = Table("endpoint", "host", "account", "workers", "Mbit/s")
    for each in found:
        limit = str(each.bandwidth_limit) if each.bandwidth_limit else "no limit"
        place = f"{each.host}:{each.port}"
        table.add_row(Text(each.name), Text(place), Text(each.username), each.worker_access, limit)
    return table


class SeenEndpoint(Record):
    """What a host offers, and what it lacks."""

    name: str = Field(description="Name of the block.")
    facts: HostFacts = Field(description="What the host said of itself.")
    findings: tuple[Finding, ...] = Field(description="What it lacks, each with a remedy.")


@endpoint_app.command("validate")
def validate_endpoint(name: Name, json: Json = False) -> None:
    """Connect to a host and say everything that is missing at once; nothing is changed."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from tradewind.host.connection import connect  # noqa: PLC0415
    from tradewind.host.facts import survey  # noqa: PLC0415
    from tradewind.host.validate import findings, road_findings  # noqa: PLC0415

    access = load_block(LibvirtEndpoint, name).access()
    with connect(access) as connection:
        facts = survey(connection)
        found = (*findings(connection, facts), *road_findings(access))
    if json:
        seen = SeenEndpoint(name=name, facts=facts, findings=found)
        typer.echo(seen.model_dump_json(indent=2))
        return
    console.print(facts_table(name, facts))
    for finding in found:
        console.print(f"{finding.severity}: {finding.what}", markup=False)
        console.print(f"  ({finding.evidence})", markup=False)
        console.print(f"  → {finding.remedy}", markup=False)
    if not found:
        console.print("nothing is missing")


def facts_table(name: str, facts: HostFacts) -> Table:
    """Show what a person asks of a host; the long lists of libvirt are for --json."""
    table = Table(title=f"{name}: {facts.hostname}", show_header=False)
    firmware = ["BIOS", *(["UEFI"] if facts.uefi else ())]
    said = {
        "libvirt, QEMU": f"{facts.libvirt_version}, {facts.qemu_version}",
        "guests run": "on KVM" if facts.kvm else "emulated",
        "firmware": ", ".join([*firmware, *(["Secure Boot"] if facts.secure_boot else ())]),
        "TPM": "yes" if facts.tpm else "no",
        "machine type": facts.machine_type,
        "CPU modes": ", ".join(facts.cpu_modes),
        "disk buses": ", ".join(facts.disk_buses),
        "storage pools": ", ".join(facts.pools),
        "networks": ", ".join((*facts.networks, *facts.port_groups)),
        "host's NICs, bridges": ", ".join(facts.devices),
    }
    for what, words in said.items():
        if words:
            table.add_row(what, Text(words))
    return table


@endpoint_app.command("limit")
def limit_endpoint(
    name: Name,
    transfers: Annotated[int, typer.Argument(help="At a time; 0 takes the limit away.", min=0)],
) -> None:
    """Say how many transfers may work on a host at a time, as source or as destination."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from tasks.slots import limit_host  # noqa: PLC0415

    load_block(LibvirtEndpoint, name)
    limit_host(name, transfers)
    said = f"at most {transfers} at a time" if transfers else "no limit"
    console.print(f"transfers on {name}: {said}")


@options_app.command("set")
def set_options(
    assignments: Annotated[
        list[str], typer.Argument(help="option=value, for example default_storage_pool=default.")
    ],
    name: Annotated[str, typer.Option(help="Name of the block.")] = "default",
) -> None:
    """Store provider options; what is not named stays as it was."""
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    pairs: dict[str, object] = stored_options(name).model_dump()
    pairs.update(pairs_of(assignments))
    ProviderOptionsBlock(**pairs).save(name, overwrite=True)
    console.print(f"provider options “{name}” stored")


def stored_options(name: str) -> ProviderOptions:
    """Load provider options; the defaults when none are stored under that name yet."""
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    with contextlib.suppress(NotFoundError):
        return load_block(ProviderOptionsBlock, name).options()
    return ProviderOptions()


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
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Folder with <machine>.toml files.")],
    bandwidth_limit: BandwidthLimit = None,
) -> None:
    """Store a folder of disk images as a source."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415

    images = DiskImageFolder(folder=str(folder.resolve()), bandwidth_limit=bandwidth_limit)
    images.save(name, overwrite=True)
    console.print(f"disk images “{name}” stored")


class ListedImages(Record):
    """A folder of disk images as it is stored."""

    name: str = Field(description="Name of the block.")
    folder: str = Field(description="The folder, on the machine that runs the flows.")
    bandwidth_limit: int | None = Field(description="Mbit/s that all transfers from it may send.")


@images_app.command("list")
def list_images(json: Json = False) -> None:
    """List the folders of disk images that are stored."""
    from blocks.disk_images import DiskImageFolder  # noqa: PLC0415
    from blocks.loading import block_names, load_block  # noqa: PLC0415

    kept = set(ListedImages.model_fields) - {"name"}
    found = [
        ListedImages(name=name, **load_block(DiskImageFolder, name).model_dump(include=kept))
        for name in block_names(DiskImageFolder)
    ]
    show_all(found, images_table, json=json, none="no folder is stored: tradewind images add")


def images_table(found: Sequence[ListedImages]) -> Table:
    """Lay out folders of disk images."""
    table = Table("images", "folder")
    for each in found:
        table.add_row(Text(each.name), Text(each.folder))
    return table


def network_map(mappings: list[str]) -> NetworkMap:
    """Read SOURCE=DESTINATION and MAC=DESTINATION pairs; one without “=” is the default for all."""
    pairs = [_split(mapping) for mapping in mappings if not _is_default(mapping)]
    default = [mapping for mapping in mappings if _is_default(mapping)]
    if len(default) > 1:
        raise OptionError(
            f"--network: {' and '.join(default)} cannot both be the default",
            "say which source network each is for: SOURCE=DESTINATION",
        )
    return NetworkMap.model_validate(
        {
            "nics": {name: plug for name, plug in pairs if MAC.fullmatch(name.lower())},
            "networks": {name: plug for name, plug in pairs if not MAC.fullmatch(name.lower())},
            "default": default[0] if default else None,
        }
    )


def _is_default(mapping: str) -> bool:
    # The "=" of ?vlan=42 belongs to the destination.
    return "=" not in mapping.partition("?")[0]


def hardware(assignments: list[str]) -> Hardware:
    """Read NAME=VALUE pairs, with the names and values of the flow's parameter."""
    return Hardware.model_validate(pairs_of(assignments))


def pairs_of(assignments: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE pairs."""
    return dict(_split(assignment) for assignment in assignments)


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise OptionError(f"“{assignment}” is not option=value", "write it as option=value")
    return key.strip(), value.strip()
