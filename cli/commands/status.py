# SPDX-License-Identifier: Apache-2.0
"""`tradewind status`: how current every replica is."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Annotated, Final

import typer

from cli.ledgers import beside, ledger_of
from cli.options import Json, Options
from cli.printing import console, moment, show_all
from cli.transfer_tables import (
    ListedTransfer,
    has_failed,
    list_transfers,
    status_table,
    tell_of_outages,
    totals,
)
from cli.worker_note import tell, tell_of_missing_worker
from deployments.advice import outgrown_sqlite
from deployments.stored_options import stored_options
from deployments.stored_transfers import StoredTransfers
from tradewind.errors import OptionError
from tradewind.model.ledger import Kept
from tradewind.model.outage import OpenOutage

# Seconds between two looks.
_EVERY: Final = 5.0

Late = Annotated[bool, typer.Option("--late", help="Only replicas past their lag warning.")]
Failed = Annotated[bool, typer.Option("--failed", help="Only those whose last run failed.")]
Watch = Annotated[bool, typer.Option("--watch", help="Look again every 5 s, until ^C.")]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All replicas, all that is stored, and what needs a person."""

    transfers: Sequence[ListedTransfer]
    outages: Sequence[OpenOutage]
    waiting: Sequence[Kept]

    @property
    def replicas(self) -> list[ListedTransfer]:
        """What a transfer has run for."""
        return [each for each in self.transfers if each.machine_id is not None]

    @property
    def scheduled(self) -> int:
        """How many come due by themselves."""
        return sum(1 for each in self.transfers if each.when and not each.paused)


def status(
    options: Options = "default",
    late: Late = False,
    failed: Failed = False,
    watch: Watch = False,
    json: Json = False,
) -> None:
    """Show each replica's lag and next scheduled run.

    With --late and --failed: those that are late, or whose last run failed. The last line counts
    all of them.
    """
    if watch and json:
        raise OptionError("--watch and --json do not go together", "a program asks again by itself")
    if not watch:
        _show(_look(options), options, late=late, failed=failed, json=json)
        return
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            fleet = _look(options)
            console.clear()
            _show(fleet, options, late=late, failed=failed, json=False)
            Event().wait(_EVERY)


def _look(options: str) -> Fleet:
    from tradewind.ledger import kept  # noqa: PLC0415 - it takes half a second to import

    with beside(StoredTransfers().all) as stored, ledger_of(options) as ledger:
        replicas, outages = ledger.replicas(), ledger.outages.open()
        waiting = kept.all_kept(ledger)
        found = list_transfers(replicas, stored.result(), datetime.now(UTC), outages)
    return Fleet(found, outages, waiting)


def _show(fleet: Fleet, options: str, *, late: bool, failed: bool, json: bool) -> None:
    chosen = [
        each
        for each in fleet.replicas
        if not (late or failed) or (late and each.late) or (failed and has_failed(each))
    ]
    none = "no machine was ever transferred" if not fleet.replicas else "none is"
    if json:
        show_all(chosen, status_table, json=True, none=none)
        return
    tell_of_outages(fleet.outages)
    show_all(chosen, status_table, json=False, none=none)
    if fleet.replicas:
        console.print(totals(fleet.replicas), markup=False)
    for each in fleet.waiting:
        console.print(
            f"{each.domain} on {each.destination} waits for a person since {moment(each.since)}:"
            f" {each.why} (tradewind kept list)",
            style="red",
            markup=False,
        )
    if fleet.scheduled:
        tell_of_missing_worker()
        tell(outgrown_sqlite(fleet.scheduled, stored_options(options).sqlite_database_file))
