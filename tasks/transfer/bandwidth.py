# SPDX-License-Identifier: Apache-2.0
"""How many bytes per second a stream may send: its own limit, and its share of the source's."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from blocks.loading import load_block
from blocks.sources import block_of
from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.options import ProviderOptions
from tradewind.model.record import Record
from tradewind.model.requests import TransferRequest
from tradewind.streaming.bandwidth import Bandwidth

_MEGABIT: Final = 1_000_000 / 8


class BandwidthLimits(Record):
    """Mbit/s, None for no limit; all living executions from `source_name` share `source`."""

    transfer: int | None
    source: int | None
    source_name: str
    ledger_place: str


@step("load-limits-{request.source}")
def load_limits(request: TransferRequest, options: ProviderOptions) -> BandwidthLimits:
    """Load what the request and its source's block say."""
    return BandwidthLimits(
        transfer=request.bandwidth_limit,
        source=load_block(block_of(request.source_kind), request.source).bandwidth_limit,
        source_name=request.source,
        ledger_place=options.sqlite_database_file,
    )


@contextmanager
def bandwidth(limits: BandwidthLimits) -> Iterator[Bandwidth]:
    """Lend what the stream's connections share; the source's share follows the ledger."""
    if limits.source is None:
        yield Bandwidth(lambda: _lower(limits.transfer, None))
        return
    with open_ledger(limits.ledger_place) as ledger:
        share = SourceShare(ledger, limits.source_name, limits.source)
        yield Bandwidth(lambda: _lower(limits.transfer, share.now()))


class SourceShare:
    """A source's limit, divided among the executions that live."""

    def __init__(self, ledger: Ledger, source: str, limit: int) -> None:
        self._ledger = ledger
        self._source = source
        self._limit = limit
        self._among = 1

    def now(self) -> float:
        """Read the ledger; one that is busy is no reason to stop a stream."""
        with suppress(TradewindError):
            self._among = max(self._ledger.executions_from(self._source), 1)
        return self._limit / self._among


def _lower(transfer: float | None, source: float | None) -> float | None:
    """Bytes per second, the lower of two limits in Mbit/s."""
    limits = [limit * _MEGABIT for limit in (transfer, source) if limit is not None]
    return min(limits, default=None)
