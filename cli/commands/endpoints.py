# SPDX-License-Identifier: Apache-2.0
"""Commands that store endpoints in Prefect, and look at hosts."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field
from rich.table import Table
from rich.text import Text

from cli.commands.host_rules import host_rules
from cli.options import EndpointName, EvenIfUsed, Json, Replace, SourceBandwidthLimit
from cli.printing import console, show_all, show_one
from cli.stored_uses import require_unused_by_transfers
from tradewind.model.finding import Finding
from tradewind.model.host import HostFacts, WorkerAccess
from tradewind.model.record import Record
from tradewind.model.source import (
    FREEZE_TIMEOUT,
    RESERVE,
    RESERVE_PERCENT,
    BackupTransport,
)
from tradewind.units import MiB

if TYPE_CHECKING:
    from blocks.endpoint import LibvirtEndpoint

endpoint_app = typer.Typer(help="Hosts: sources and destinations.", no_args_is_help=True)


@endpoint_app.command("add")
def add_endpoint(
    name: EndpointName,
    host: Annotated[str, typer.Option(help="Name or address of the KVM host.")],
    username: Annotated[str, typer.Option(help="Account; a member of the groups libvirt and kvm.")],
    key: Annotated[
        Path, typer.Option(help="SSH private key file; its content is saved as a secret.")
    ],
    host_key: Annotated[str, typer.Option(help="known_hosts line or SHA256:… fingerprint.")] = "",
    port: Annotated[int, typer.Option(help="SSH port.")] = 22,
    via_host: Annotated[
        bool, typer.Option("--via-host", help="Reach workers through the host (NAT networks).")
    ] = False,
    bandwidth_limit: SourceBandwidthLimit = None,
    scratch_pool: Annotated[
        str | None, typer.Option(help="Storage pool for scratch files of running guests.")
    ] = None,
    scratch_reserve: Annotated[
        int, typer.Option(help="MiB to keep free there; below, the snapshot is dropped.")
    ] = RESERVE // MiB,
    scratch_reserve_percent: Annotated[
        int, typer.Option(help="The same in percent; the larger value counts.")
    ] = RESERVE_PERCENT,
    freeze_timeout: Annotated[
        int, typer.Option(help="Timeout of the guest agent's freeze, in seconds.")
    ] = FREEZE_TIMEOUT,
    backup_transport: Annotated[
        BackupTransport, typer.Option(help="How QEMU serves a backup on this host.")
    ] = BackupTransport.UNIX,
    replace: Replace = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Save it without connecting to it.")
    ] = False,
) -> None:
    """Check a host, and save it if it answers.

    The five options before --replace apply to a source.
    """
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415 - Prefect takes seconds to import
    from blocks.loading import require_new  # noqa: PLC0415
    from tradewind.remote.keys import private_key_from_file  # noqa: PLC0415

    require_new(LibvirtEndpoint, name, replace=replace)
    text = private_key_from_file(key, "--key").get_secret_value()
    endpoint = LibvirtEndpoint(
        host=host,
        port=port,
        username=username,
        private_key_base64=base64.b64encode(text.encode()).decode(),
        host_key=host_key,
        worker_access=WorkerAccess.VIA_HOST if via_host else WorkerAccess.DIRECT,
        bandwidth_limit=bandwidth_limit,
        scratch_pool=scratch_pool,
        scratch_reserve=scratch_reserve,
        scratch_reserve_percent=scratch_reserve_percent,
        freeze_timeout=freeze_timeout,
        backup_transport=backup_transport,
    )
    seen = None if no_check else _look(name, endpoint)
    endpoint.save(name, overwrite=True)
    if seen is not None:
        _show(seen)
    console.print(f"endpoint “{name}” stored", markup=False)


class ListedEndpoint(Record):
    """A host as it is stored; its key is not told."""

    name: str = Field(description="Name of the block.")
    host: str = Field(description="Name or address.")
    port: int = Field(description="SSH port.")
    username: str = Field(description="Account there.")
    worker_access: WorkerAccess = Field(description="How its workers are reached.")
    bandwidth_limit: int | None = Field(description="Mbit/s that all transfers from it may send.")
    scratch_pool: str | None = Field(description="Pool for what guests overwrite meanwhile.")
    scratch_reserve: int = Field(description="MiB that stay free there.")
    scratch_reserve_percent: int = Field(description="Percent that stay free there.")
    freeze_timeout: int = Field(description="Seconds that a guest agent may take to freeze.")
    backup_transport: BackupTransport = Field(description="How QEMU serves what is read there.")
    enabled: bool = Field(description="Whether the sweep of all hosts looks at it.")


@endpoint_app.command("list")
def list_endpoints(json: Json = False) -> None:
    """List the saved hosts."""
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
def validate_endpoint(name: EndpointName, json: Json = False) -> None:
    """Connect to a host and check what a move needs.

    All problems are reported at once. Makes a machine of 1 MiB for the check and removes it again;
    changes nothing else.
    """
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415

    seen = _look(name, load_block(LibvirtEndpoint, name))
    if json:
        typer.echo(seen.model_dump_json(indent=2))
    else:
        _show(seen)


def _look(name: str, endpoint: "LibvirtEndpoint") -> "SeenEndpoint":
    """Connect to a host, and judge what it offers."""
    from tradewind.host.connection import connect  # noqa: PLC0415
    from tradewind.host.facts import survey  # noqa: PLC0415
    from tradewind.host.validate import as_source, findings, route_findings  # noqa: PLC0415
    from tradewind.sources.libvirt import trial  # noqa: PLC0415

    access = endpoint.access()
    with connect(access) as connection:
        facts = survey(connection)
        found = (*findings(connection, facts), *route_findings(access))
    found += as_source(trial.findings(access, endpoint.care()))
    return SeenEndpoint(name=name, facts=facts, findings=found)


def _show(seen: "SeenEndpoint") -> None:
    console.print(facts_table(seen.name, seen.facts))
    for finding in seen.findings:
        console.print(f"{finding.severity}: {finding.what}", markup=False)
        console.print(f"  ({finding.evidence})", markup=False)
        console.print(f"  → {finding.remedy}", markup=False)
    if not seen.findings:
        console.print("nothing is missing")


@endpoint_app.command("show")
def show_endpoint(name: EndpointName, json: Json = False) -> None:
    """Show a saved host. Its key is never shown."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415

    kept = set(ListedEndpoint.model_fields) - {"name"}
    endpoint = load_block(LibvirtEndpoint, name)
    show_one(ListedEndpoint(name=name, **endpoint.model_dump(include=kept)), json=json)


@endpoint_app.command("disable")
def disable_endpoint(name: EndpointName) -> None:
    """Leave a host out of the sweep of all hosts."""
    _enable(name, wanted=False)


@endpoint_app.command("enable")
def enable_endpoint(name: EndpointName) -> None:
    """Take a host into the sweep of all hosts again."""
    _enable(name, wanted=True)


def _enable(name: str, *, wanted: bool) -> None:
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415

    endpoint = load_block(LibvirtEndpoint, name)
    endpoint.enabled = wanted
    endpoint.save(name, overwrite=True)
    console.print(f"endpoint “{name}” is {'enabled' if wanted else 'disabled'}", markup=False)


@endpoint_app.command("remove")
def remove_endpoint(
    name: EndpointName,
    force: EvenIfUsed = False,
) -> None:
    """Remove a saved host. Nothing on the host itself is changed."""
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import remove_block  # noqa: PLC0415

    if not force:
        require_unused_by_transfers(name)
    remove_block(LibvirtEndpoint, name)
    console.print(f"endpoint “{name}” removed", markup=False)


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
    name: EndpointName,
    transfers: Annotated[
        int, typer.Argument(help="Number of transfers; 0 removes the limit.", min=0)
    ],
) -> None:
    """Limit the number of concurrent transfers on a host.

    Counts transfers from it and to it.
    """
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from tasks.transfer.slots import limit_host  # noqa: PLC0415

    load_block(LibvirtEndpoint, name)
    limit_host(name, transfers)
    said = f"at most {transfers} at a time" if transfers else "no limit"
    console.print(f"transfers on {name}: {said}")


endpoint_app.command("host-rules")(host_rules)
