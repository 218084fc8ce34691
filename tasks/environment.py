# SPDX-License-Identifier: Apache-2.0
"""Steps that turn the names in a request into what they stand for, and look before they leap."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import load_block
from blocks.provider_options import ProviderOptionsBlock
from blocks.sources import block_of
from tasks.step import step
from tradewind.host import facts, validate
from tradewind.host.connection import Connection, connect
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.groups import GroupRequest
from tradewind.model.host import HostAccess, HostFacts, WorkerSpec
from tradewind.model.options import ProviderOptions
from tradewind.model.record import Record
from tradewind.model.requests import RemovalRequest, ReplicaName, SourceKind, TransferRequest
from tradewind.ports import DataSource
from tradewind.units import GiB, MiB
from tradewind.worker import lifecycle

# The one OS family whose morphing is built; its image also serves transfers.
WORKER_OS = "linux"


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything a request names, loaded: keys included, so it never becomes a parameter."""

    options: ProviderOptions
    destination: HostAccess

    def ledger(self) -> AbstractContextManager[Ledger]:
        """Open the ledger that the options name."""
        return open_ledger(self.options.sqlite_database_file)

    def connect(self) -> AbstractContextManager[Connection]:
        """Lend a libvirt connection to the destination."""
        return connect(self.destination)


class DestinationContext(Record):
    """What was found on the destination host, and the worker that fits it."""

    facts: HostFacts
    worker: WorkerSpec


@step("load-environment-{request.machine}")
def load_environment(request: TransferRequest | ReplicaName) -> Environment:
    """Load the blocks that a request names, and apply its overrides."""
    options = load_block(ProviderOptionsBlock, request.options).options()
    merged = options.with_overrides(request.overrides)
    endpoint = load_block(LibvirtEndpoint, request.destination)
    return Environment(options=merged, destination=endpoint.access(merged.ssh_key_path))


@step("load-options-{name}")
def load_options(name: str) -> ProviderOptions:
    """Load a provider options block."""
    return load_block(ProviderOptionsBlock, name).options()


@step("load-source-{request.source}")
def load_source(
    request: TransferRequest | GroupRequest | RemovalRequest, options: ProviderOptions
) -> DataSource:
    """Load the block that describes where the machines are."""
    return open_source(request.source_kind, request.source, options)


def open_source(kind: SourceKind, name: str, options: ProviderOptions) -> DataSource:
    """Open the source that a block describes."""
    return load_block(block_of(kind), name).open_source(options)


@step("survey-{env.destination.host}")
def survey(env: Environment, disk_slots: int) -> DestinationContext:
    """Ask the destination what it offers; say at once everything that is missing."""
    with env.connect() as connection:
        options, found = env.options, list[str]()
        validate.require_all(
            [
                lambda: found.append(
                    lifecycle.find_image(connection, options.worker_image(WORKER_OS))
                ),
                lambda: validate.require_network(
                    connection, options.migr_worker_network, "migr_worker_network"
                ),
            ]
        )
        image = options.worker_image(WORKER_OS)
        return DestinationContext(
            facts=facts.survey(connection), worker=worker_spec(options, found[0], image, disk_slots)
        )


def worker_spec(options: ProviderOptions, pool: str, image: str, disk_slots: int) -> WorkerSpec:
    """Size a worker as the options say."""
    return WorkerSpec(
        image_pool=pool,
        image_volume=image,
        network=options.migr_worker_network or "",
        vcpus=options.migr_worker_vcpus,
        memory=options.migr_worker_memory * MiB,
        volume_size=options.migr_worker_volume_size * GiB,
        address_source=options.migr_worker_iface_addr_src,
        disk_slots=disk_slots,
    )
