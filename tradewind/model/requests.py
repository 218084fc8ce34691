# SPDX-License-Identifier: Apache-2.0
"""What a person asks for: block names and choices, never secrets (Prefect prints parameters)."""

from enum import StrEnum

from pydantic import Field

from tradewind.model.option_types import Text
from tradewind.model.options import OptionOverrides, Overrides
from tradewind.model.record import Record
from tradewind.model.storage import StorageMap, StoragePlaces


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
        description="Minutes behind its source after which the replica is warned about. Left "
        "empty: never.",
    )
    bandwidth_limit: int | None = Field(
        None,
        ge=1,
        title="Bandwidth limit",
        description="Mbit/s that this transfer may send. Left empty: no limit but the source's.",
    )
