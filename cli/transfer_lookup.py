# SPDX-License-Identifier: Apache-2.0
"""What the words of a transfer command mean: a stored transfer, or a machine between two blocks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer

from cli.ledgers import ledger_of
from cli.parsing import pairs_of, source_kind
from cli.transfer_details import ReplicaDisk, TransferDetail
from cli.transfer_tables import list_transfers
from deployments.stored import Stored
from deployments.stored_transfers import StoredTransfers
from tradewind.errors import OptionError
from tradewind.model.ledger import ReplicaState
from tradewind.model.options import OptionOverrides
from tradewind.model.record import Record
from tradewind.model.requests import RemovalRequest, TransferRequest
from tradewind.model.storage import StorageMap

RUNS_SHOWN = 10
_BACKEND = "backend:"


def transfer_request(
    *, images: bool, storage: list[str] | None, settings: list[str] | None, **asked: Any
) -> TransferRequest:
    """Ask for a transfer as the options of a command say."""
    return TransferRequest(
        source_kind=source_kind(images=images),
        storage_map=storage_map(storage or []),
        overrides=OptionOverrides.model_validate(pairs_of(settings or [])),
        **asked,
    )


def default_name(request: TransferRequest) -> str:
    """Name a transfer that was given no name."""
    return f"{request.machine}-from-{request.source}-to-{request.destination}"


def storage_map(mappings: Sequence[str]) -> StorageMap:
    """Read DISK=POOL and backend:OLD=POOL pairs; one without “=” is the default for all."""
    default = [mapping for mapping in mappings if "=" not in mapping]
    if len(default) > 1:
        raise OptionError(
            f"--storage: {' and '.join(default)} cannot both be the default",
            "say which disk each is for: DISK=POOL",
        )
    pairs = pairs_of([mapping for mapping in mappings if "=" in mapping])
    return StorageMap(
        disks={disk: pool for disk, pool in pairs.items() if not disk.startswith(_BACKEND)},
        backends={
            disk.removeprefix(_BACKEND): pool
            for disk, pool in pairs.items()
            if disk.startswith(_BACKEND)
        },
        default=default[0] if default else None,
    )


def is_stored(source: str | None, destination: str | None) -> bool:
    """Whether a stored transfer is meant; OptionError when only one end is said."""
    if (source is None) != (destination is None):
        raise OptionError(
            "--from and --to go together", "say both, or neither for a stored transfer"
        )
    return source is None


def refuse_options(context: typer.Context, except_for: Collection[str]) -> None:
    """Refuse options beside the name of a stored transfer: it has its own."""
    said = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in except_for and _was_typed(context, parameter.name or "")
    ]
    if said:
        raise OptionError(
            f"a stored transfer has its own options: {', '.join(said)}",
            "change them with `tradewind transfer create`, or say --from and --to as well",
        )


def _was_typed(context: typer.Context, name: str) -> bool:
    # By its word: typer has an enum of its own for this, or click's, from version to version.
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def stored_transfer(name: str) -> Stored:
    """Find a stored transfer by its name; NotFoundError says how else a machine is named."""
    return StoredTransfers().transfer(name)


def detail(word: str, source: str | None, destination: str | None, options: str) -> TransferDetail:
    """Gather all that is known of a transfer."""
    named = _named(word, source, destination, options)
    with ledger_of(named.request.options, named.request.overrides) as ledger:
        replica = _replica_of(ledger.replicas(), named.request)
        if replica is None and not named.stored:
            ledger.find_transfer(*named.place)  # says which there are
        states = [replica] if replica else []
        (standing, *_) = list_transfers(states, named.stored, datetime.now(UTC))
        asked = next((each.transfer for each in named.stored if each.name == standing.name), None)
        if replica is None:
            return TransferDetail(standing=standing, request=asked)
        transfer = ledger.find_transfer(*named.place)
        return TransferDetail(
            standing=standing,
            request=asked,
            transfer=transfer.id,
            complete=transfer.synced is not None,
            checkpoint=transfer.checkpoint.name if transfer.checkpoint else None,
            disks=tuple(ReplicaDisk.of(volume) for volume in ledger.volumes(transfer.id)),
            runs=tuple(ledger.last_runs(transfer.id, RUNS_SHOWN)),
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """What `transfer delete` is about to remove."""

    request: RemovalRequest
    stored: tuple[Stored, ...]
    has_replica: bool
    volumes: int

    def question(self) -> str:
        """Ask a person whether that is meant."""
        asked = self.request
        lines = [f"{asked.machine} from {asked.source} on {asked.destination}:"]
        if self.has_replica:
            lines.append(f"- the replica ({self.volumes} volumes) and its checkpoint")
        lines += [f"- the stored transfer {each.name}" for each in self.stored]
        lines.append("Machines that were deployed from it stay. Remove this?")
        return "\n".join(lines)

    def forget_stored(self) -> None:
        """Remove what is stored in Prefect; the replica has gone before."""
        there = StoredTransfers()
        for each in self.stored:
            there.delete(each)


def deletion(
    word: str, source: str | None, destination: str | None, options: str, *, images: bool
) -> Deletion:
    """Find what is to be removed; NotFoundError names what there is instead."""
    named = _named(word, source, destination, options)
    kind = source_kind(images=images, otherwise=named.request.source_kind)
    names = set(RemovalRequest.model_fields)
    asked = {**named.request.model_dump(include=names), "source_kind": kind}
    with ledger_of(named.request.options, named.request.overrides) as ledger:
        replica = _replica_of(ledger.replicas(), named.request)
        if replica is None and not named.stored:
            ledger.find_transfer(*named.place)  # says which there are
        volumes = ledger.volumes(ledger.find_transfer(*named.place).id) if replica else []
    return Deletion(
        request=RemovalRequest.model_validate(asked),
        stored=_same(named.request),
        has_replica=replica is not None,
        volumes=len(volumes),
    )


class _NamedTransfer(Record):
    """A transfer as it was named, with what is stored of it: under its name, or for its machine."""

    request: TransferRequest
    stored: tuple[Stored, ...]

    @property
    def place(self) -> tuple[str, str, str]:
        """Source, destination and machine, as the ledger is asked for them."""
        return self.request.source, self.request.destination, self.request.machine


def _named(word: str, source: str | None, destination: str | None, options: str) -> _NamedTransfer:
    if is_stored(source, destination):
        found = stored_transfer(word)
        return _NamedTransfer(request=found.transfer, stored=(found,))
    request = TransferRequest(
        machine=word, source=source or "", destination=destination or "", options=options
    )
    same = _same(request)
    if same:
        request = request.model_copy(update={"source_kind": same[0].transfer.source_kind})
    return _NamedTransfer(request=request, stored=same)


def _same(request: TransferRequest) -> tuple[Stored, ...]:
    """Find all that is stored for a machine, under whatever names."""
    there = StoredTransfers().all()
    return tuple(each for each in there if each.is_transfer and _asks(each, request))


def _asks(stored: Stored, request: TransferRequest) -> bool:
    places = ("machine", "source", "destination")
    return all(stored.request.get(place) == getattr(request, place) for place in places)


def _replica_of(replicas: Sequence[ReplicaState], request: TransferRequest) -> ReplicaState | None:
    for each in replicas:
        names = (each.machine, each.machine_id)
        if (request.source, request.destination) == each.place[:2] and request.machine in names:
            return each
    return None
