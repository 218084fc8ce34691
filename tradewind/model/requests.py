# SPDX-License-Identifier: Apache-2.0
"""What a person asks for: block names and choices, never secrets (Prefect prints parameters)."""

from enum import StrEnum

from pydantic import Field

from tradewind.model.options import OptionOverrides
from tradewind.model.record import Record
from tradewind.model.storage import NetworkMap, StorageMap


class SourceKind(StrEnum):
    """Which kind of block `source` names."""

    LIBVIRT = "libvirt host"
    IMAGES = "disk images"


class TransferRequest(Record):
    """Bring the replica of one machine up to date."""

    machine: str = Field(
        title="Machine", description="Name or UUID of the machine on its source.", min_length=1
    )
    source: str = Field(
        title="Source", description="Name of the block that describes where the machine is."
    )
    source_kind: SourceKind = Field(
        SourceKind.LIBVIRT, title="Kind of source", description="Kind of block that Source names."
    )
    destination: str = Field(
        title="Destination host",
        description="Name of the libvirt endpoint block that receives the machine.",
    )
    options: str = Field(
        "default",
        title="Provider options",
        description="Name of the provider options block.",
    )
    overrides: OptionOverrides = Field(
        default_factory=OptionOverrides,
        title="Overrides",
        description="Options that differ for this machine.",
    )
    storage_map: StorageMap = Field(
        default_factory=StorageMap,
        title="Storage map",
        description="Which pool receives which disk; what is not mapped goes to the default pool.",
    )


class DeployRequest(Record):
    """Turn the replica of one machine into a running machine."""

    machine: str = Field(
        title="Machine", description="Name or UUID of the machine on its source.", min_length=1
    )
    source: str = Field(
        title="Source", description="Name of the source block the transfer was made with."
    )
    destination: str = Field(
        title="Destination host", description="Name of the libvirt endpoint block that has it."
    )
    options: str = Field(
        "default",
        title="Provider options",
        description="Name of the provider options block.",
    )
    overrides: OptionOverrides = Field(
        default_factory=OptionOverrides,
        title="Overrides",
        description="Options that differ for this machine.",
    )
    network_map: NetworkMap = Field(
        default_factory=NetworkMap,
        title="Network map",
        description="Which libvirt network on the destination each source network becomes.",
    )
    name: str | None = Field(
        None,
        title="Name of the new machine",
        description="Left empty: the name it has on its source.",
    )
    clone_disks: bool = Field(
        True,
        title="Clone the disks",
        description="Keep the replica, so that the deployment can be repeated. Without a clone "
        "the replica is used up and the next transfer is full.",
    )
    skip_os_morphing: bool = Field(
        False,
        title="Skip OS morphing",
        description="Leave the guest's operating system as it is.",
    )
    start: bool = Field(True, title="Start", description="Start the machine when it is ready.")
    prove_boot: bool = Field(
        True,
        title="Prove the boot",
        description="Watch the machine until it proves that it booted; undo the deployment if "
        "it does not.",
    )
    boot_timeout: int = Field(
        600,
        gt=0,
        title="Boot time limit",
        description="Seconds until a machine that has not proven its boot counts as failed.",
    )
