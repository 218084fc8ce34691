# SPDX-License-Identifier: Apache-2.0
"""What a person asks for: block names and choices, never secrets (Prefect prints parameters)."""

from enum import StrEnum
from ipaddress import IPv4Network
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from tradewind.errors import OptionError
from tradewind.model.deploy_options import DeployOptions
from tradewind.model.option_types import Text
from tradewind.model.options import OptionOverrides, Overrides
from tradewind.model.record import Record
from tradewind.model.storage import ReplicaVolume, StorageMap, StoragePlaces, Volume


class SourceKind(StrEnum):
    """Which kind of block `source` names."""

    LIBVIRT = "libvirt host"
    IMAGES = "disk images"


class TransferRequest(Record):
    """Bring the replica of one machine up to date."""

    machine: Text = Field(title="Machine", description="Name or UUID of the machine on its source.")
    source: Text = Field(
        title="Source",
        description="Where the machine is: name of a block “Tradewind Libvirt Endpoint”, or of a "
        "block “Tradewind Disk Images”.",
    )
    source_kind: SourceKind = Field(
        SourceKind.LIBVIRT,
        title="Kind of source",
        description="What Source is the name of: a libvirt host, or a folder of disk images.",
    )
    destination: Text = Field(
        title="Destination host",
        description="Which host receives it: name of a block “Tradewind Libvirt Endpoint”.",
    )
    options: Text = Field(
        "default",
        title="Provider options",
        description="Name of a block “Tradewind Provider Options”.",
    )
    overrides: Overrides = Field(
        default_factory=OptionOverrides,
        title="Overrides",
        description="Options that differ for this machine.",
    )
    storage_map: StoragePlaces = Field(
        default_factory=StorageMap,
        title="Storage map",
        description="Which pool receives which disk; what is not mapped goes to the default pool.",
    )
    track_changes: bool = Field(
        True,
        title="Track changes",
        description="Keep a checkpoint with dirty bitmaps on the source, so that the next "
        "execution reads only what changed. Switch it off where another backup program wants the "
        "machine without checkpoints; then all data is read each time.",
    )
    lag_warning: int | None = Field(
        None,
        ge=1,
        title="Lag that is too long",
        description="Lag in minutes after which the replica counts as late. Left empty: never.",
    )
    bandwidth_limit: int | None = Field(
        None,
        ge=1,
        title="Bandwidth limit",
        description="Limit of this transfer in Mbit/s. Left empty: only the source's limit.",
    )


# Its host, a machine with a NIC or two, and the two addresses that nobody may have.
SMALLEST_SUBNET: Final = 29


class ReplicaName(Record):
    """Which replica, and by which options: the names of blocks."""

    machine: Text = Field(title="Machine", description="Name or UUID of the machine on its source.")
    source: Text = Field(
        title="Source",
        description="Where the machine was when it was transferred: name of a block “Tradewind "
        "Libvirt Endpoint”, or of a block “Tradewind Disk Images”.",
    )
    destination: Text = Field(
        title="Destination host",
        description="Which host has its replica: name of a block “Tradewind Libvirt Endpoint”.",
    )
    options: Text = Field(
        "default",
        title="Provider options",
        description="Name of a block “Tradewind Provider Options”.",
    )
    overrides: Overrides = Field(
        default_factory=OptionOverrides,
        title="Overrides",
        description="Options that differ for this machine.",
    )


class RehearsalChoice(Record):
    """Whether a deployment is only tried, and where."""

    rehearse: bool = Field(
        False,
        title="Rehearse",
        description="Deploy a clone on a network that nothing leaves, prove that it boots, keep "
        "the evidence and remove everything. The replica and its machine never notice.",
    )
    rehearsal_network: str | None = Field(
        None,
        title="Network of the rehearsal",
        description="An isolated libvirt network of the destination. Left empty: one is made, "
        "and removed again.",
    )
    rehearsal_subnet: str = Field(
        "192.168.231.0/24",
        title="Addresses of the rehearsal",
        description="IPv4 subnet of the network that is made; not one that the host uses.",
    )

    @field_validator("rehearsal_subnet")
    @classmethod
    def _is_a_subnet(cls, value: str) -> str:
        try:
            net = IPv4Network(value)
        except ValueError as error:
            raise OptionError(
                f"rehearsal_subnet: {error}", "name a subnet such as 192.168.231.0/24"
            ) from None
        if net.prefixlen > SMALLEST_SUBNET:
            raise OptionError(
                f"rehearsal_subnet: {value} has no room for a machine", "name a larger one"
            )
        return value


# Bases are read from the right: a form asks for the machine first, whether it is only tried, and
# then how it shall arrive.
class DeployRequest(DeployOptions, RehearsalChoice, ReplicaName):
    """Turn the replica of one machine into a running machine."""

    start: bool = Field(True, title="Start", description="Start the machine when it is ready.")
    prove_boot: bool = Field(
        True,
        title="Prove the boot",
        description="Watch the machine until it proves that it booted; undo the deployment if "
        "it does not.",
    )

    @model_validator(mode="after")
    def _can_be_rehearsed(self) -> Self:
        if not self.rehearse:
            return self
        if not self.clone_disks:
            raise OptionError(
                "rehearse: a rehearsal without a clone (clone_disks) would use the replica up",
                "leave clone_disks on",
            )
        if not (self.start and self.prove_boot):
            raise OptionError(
                "rehearse: a rehearsal without a boot that is watched shows nothing",
                "leave start and prove_boot on",
            )
        return self

    @property
    def title(self) -> str:
        """Name the flow run."""
        return f"{'rehearse' if self.rehearse else 'deploy'}-{self.machine}"


def deployment_of(transfer: TransferRequest, deploy_options: DeployOptions) -> DeployRequest:
    """Ask for the deployment of what a transfer brought."""
    return DeployRequest(
        machine=transfer.machine,
        source=transfer.source,
        destination=transfer.destination,
        options=transfer.options,
        overrides=transfer.overrides,
        **dict(deploy_options),
    )


class RemovalRequest(ReplicaName):
    """Remove the replica of one machine: its volumes, its checkpoint and what is known of it.

    Machines that were deployed from it stay, and so does the machine on its source.
    """

    source_kind: SourceKind = Field(
        SourceKind.LIBVIRT, title="Kind of source", description="Kind of block that Source names."
    )


class RemovableVolumes(Record):
    """What of the replica can be removed; `stays` says what cannot, a sentence for each volume."""

    replica: tuple[ReplicaVolume, ...]
    stays: tuple[str, ...] = ()

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes alone."""
        return tuple(each.volume for each in self.replica)


class ForgottenAtSource(Record):
    """What was taken away from the source; `stays` says in a sentence what could not be."""

    checkpoints: tuple[str, ...] = ()
    stays: str = ""


class RemovalReport(Record):
    """What was removed; `volumes` are those that a run before this one had left."""

    machine: str
    source: str
    destination: str
    transfer: str
    volumes: tuple[Volume, ...]
    checkpoints: tuple[str, ...]
    stays: tuple[str, ...] = ()
