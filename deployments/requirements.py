# SPDX-License-Identifier: Apache-2.0
"""Whether what transfers name is there: blocks, machines and pools; each host is asked once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import load_block
from blocks.provider_options import ProviderOptionsBlock
from tasks.environment import open_source
from tradewind.errors import NotFoundError
from tradewind.host.connection import connect
from tradewind.host.storage import find_pool
from tradewind.host.validate import require_all
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import TransferRequest
from tradewind.nearest import listed

Requests = Sequence[TransferRequest]
# What decides which source is opened, and how.
_SOURCE = ("source_kind", "source", "options", "overrides")
_DESTINATION = ("destination", "options", "overrides")


def require_places(requests: Requests) -> None:
    """Look for the blocks, the machines and the pools of requests; say all that is missing."""
    require_all(
        [
            *(_machine_check(each) for each in _alike(requests, _SOURCE)),
            *(_pool_check(each) for each in _alike(requests, _DESTINATION)),
        ]
    )


def _alike(requests: Requests, parts: tuple[str, ...]) -> Iterator[Requests]:
    """Put together what says the same in these fields."""
    found: dict[str, list[TransferRequest]] = {}
    for each in requests:
        found.setdefault(each.model_dump_json(include=set(parts)), []).append(each)
    yield from found.values()


def _machine_check(requests: Requests) -> Callable[[], None]:
    """Make the check of all that come from one source."""

    def check() -> None:
        first = requests[0]
        source = open_source(first.source_kind, first.source, _options(first))
        there = list(source.machines())
        known = {word for machine in there for word in (machine.id, machine.name)}
        missing = [each.machine for each in requests if each.machine not in known]
        if missing:
            near = listed((machine.name for machine in there), missing[0])
            raise NotFoundError(f"{_none(missing)} on {first.source}", f"there are: {near}")

    return check


def _none(missing: Sequence[str]) -> str:
    if len(missing) == 1:
        return f"no machine “{missing[0]}”"
    return f"{len(missing)} machines are not there: {listed(missing, missing[0])},"


def _pool_check(requests: Requests) -> Callable[[], None]:
    """Make the check of all that go to one destination."""

    def check() -> None:
        options = _options(requests[0])
        pools = sorted({pool for each in requests for pool in _pools(each, options)})
        host = load_block(LibvirtEndpoint, requests[0].destination)
        with connect(host.access(options.ssh_key_path)) as connection:
            require_all([_finder(connection, pool) for pool in pools])

    return check


def _pools(request: TransferRequest, options: ProviderOptions) -> set[str]:
    mapped = request.storage_map
    default = mapped.default or options.default_storage_pool
    return {*mapped.disks.values(), *mapped.backends.values(), *filter(None, [default])}


def _finder(connection: Any, pool: str) -> Callable[[], object]:
    return lambda: find_pool(connection, pool)


def _options(request: TransferRequest) -> ProviderOptions:
    stored = load_block(ProviderOptionsBlock, request.options).options()
    return stored.with_overrides(request.overrides)
