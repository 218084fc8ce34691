# SPDX-License-Identifier: Apache-2.0
"""A replica that is no longer wanted: what is asked for, and what became of it."""

from pydantic import Field

from tradewind.model.deploy_request import ReplicaName
from tradewind.model.record import Record
from tradewind.model.requests import SourceKind
from tradewind.model.storage import ReplicaVolume, Volume


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
