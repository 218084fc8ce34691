# SPDX-License-Identifier: Apache-2.0
"""Slots on hosts: how many transfers may work on one at a time, wherever they run.

A throttle by Prefect's global concurrency limits, and no more than that: that a transfer is
executed once at a time is the ledger's affair. The slot of a killed process is free again when
its lease ends, after five minutes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from blocks.sources import block_of
from tasks.step import step
from tradewind.model.requests import TransferRequest


def slot_name(endpoint: str) -> str:
    """Name the limit of an endpoint, as Prefect's UI shows it under Concurrency."""
    return f"tradewind-host-{endpoint}"


def limit_host(endpoint: str, transfers: int) -> None:
    """Set how many transfers may work on a host at a time; 0 takes the limit away."""
    name = slot_name(endpoint)
    with get_client(sync_client=True) as client:
        if transfers:
            client.upsert_global_concurrency_limit_by_name(name, transfers)
            return
        with suppress(ObjectNotFound):
            client.delete_global_concurrency_limit_by_name(name)


@step("look-for-limits")
def _limited(names: Sequence[str]) -> list[str]:
    """Return the names that have a limit, and say which of them we are about to wait for."""
    with get_client(sync_client=True) as client:
        limits = client.read_global_concurrency_limits(limit=200)
    _announce(names, limits)
    return [limit.name for limit in limits if limit.name in names]


def _announce(names: Sequence[str], limits: Sequence[GlobalConcurrencyLimitResponse]) -> None:
    for limit in limits:
        if limit.name in names and limit.active_slots >= limit.limit:
            get_run_logger().info(
                "Waiting for a slot: all %d of %s are taken.", limit.limit, limit.name
            )


@contextmanager
def slots(request: TransferRequest) -> Iterator[None]:
    """Lend a slot on the source host and on the destination host, where they have a limit."""
    hosts = {request.destination}
    if block_of(request.source_kind).is_host:
        hosts.add(request.source)
    # Not inside a step: Prefect (3.8.8) gives back what a task run has taken when that ends.
    with concurrency(_limited(sorted(map(slot_name, hosts)))):
        yield
