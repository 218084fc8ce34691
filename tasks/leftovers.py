# SPDX-License-Identifier: Apache-2.0
"""Steps that find and remove what crashed runs left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from prefect.logging import get_run_logger

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import block_names
from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.host import leftovers
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.model.host import HostAccess
from tradewind.model.ledger import Life
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.report import SweepReport
from tradewind.remote import shell


@step("name-hosts")
def name_hosts(endpoints: Sequence[str]) -> list[str]:
    """Name the endpoints that are meant; none means all that are stored."""
    return list(endpoints) or block_names(LibvirtEndpoint)


@contextmanager
def each_host_for_itself() -> Iterator[Callable[[str], AbstractContextManager[None]]]:
    """Lend attempts at hosts: one that cannot be swept keeps no other from it.

    At the end, the first host's error is raised; it names the other hosts that failed.
    """
    failed: dict[str, TradewindError] = {}

    @contextmanager
    def attempt(endpoint: str) -> Iterator[None]:
        try:
            yield
        except TradewindError as error:
            get_run_logger().error("%s was not swept: %s", endpoint, error)
            failed[endpoint] = error

    yield attempt
    for error in failed.values():
        error.add_note(f"not swept: {', '.join(failed)}")
        raise error


@step("look-at-{endpoint}")
def find_leftovers(endpoint: str, host: HostAccess) -> tuple[Leftover, ...]:
    """List everything temporary on the host, whoever made it."""
    with connect(host) as connection:
        found = leftovers.find(connection)
    with shell.connect_to_host(host) as remote:
        return (*found, *leftovers.find_folders(remote))


@step("judge-leftovers-of-{endpoint}")
def judge(endpoint: str, found: Sequence[Leftover], ledger_place: str) -> SweepReport:
    """Tell what no living run owns from what is in use, and from what others made."""
    with open_ledger(ledger_place) as ledger:
        lives = {leftover.run: ledger.life_of(leftover.run) for leftover in found}
    return SweepReport(
        endpoint=endpoint,
        dead=tuple(item for item in found if lives[item.run] is Life.DEAD),
        alive=tuple(item for item in found if lives[item.run] is Life.ALIVE),
        # The disks of a deployed machine whose domain is undefined at the moment, for example.
        # A checkpoint of a run that ended well is what the next one counts from: no leftover.
        finished=tuple(
            item
            for item in found
            if lives[item.run] is Life.FINISHED and item.kind is not LeftoverKind.CHECKPOINT
        ),
        unknown=tuple(item for item in found if lives[item.run] in (None, Life.UNKNOWN)),
    )


@step("abandon-dead-runs")
def abandon_dead_runs(ledger_place: str) -> tuple[str, ...]:
    """Mark the runs whose process can be proven dead, so that their transfers are free again."""
    with open_ledger(ledger_place) as ledger:
        return ledger.abandon_dead()


@step("remove-{leftover.name}")
def _remove(host: HostAccess, leftover: Leftover) -> None:
    """Remove one thing."""
    with connect(host) as connection:
        leftovers.remove(connection, leftover)


@step("remove-{leftover.name}")
def _remove_folder(host: HostAccess, leftover: Leftover) -> None:
    """Remove one folder."""
    with shell.connect_to_host(host) as remote:
        leftovers.remove_folder(remote, leftover)


def remove_all(host: HostAccess, found: Sequence[Leftover]) -> None:
    """Remove things in the order in which they were listed: jobs, domains, volumes, folders."""
    for leftover in found:
        if leftover.kind is LeftoverKind.FOLDER:
            _remove_folder(host, leftover)
        else:
            _remove(host, leftover)
