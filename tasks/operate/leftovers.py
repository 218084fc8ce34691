# SPDX-License-Identifier: Apache-2.0
"""Steps that find and remove what crashed runs left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from prefect.logging import get_run_logger

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import block_names, load_block
from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.host import leftovers
from tradewind.host.connection import connect
from tradewind.host.domain import domains, label_sync
from tradewind.ledger import kept, open_ledger
from tradewind.model.host import HostAccess
from tradewind.model.ledger import Life
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.outage import OpenOutage
from tradewind.model.report import SweepReport, autostart_of
from tradewind.remote import shell


@step("name-hosts")
def name_hosts(endpoints: Sequence[str]) -> list[str]:
    """Name the endpoints that are meant; none means all that are stored and enabled."""
    if endpoints:
        return list(endpoints)
    return [
        name for name in block_names(LibvirtEndpoint) if load_block(LibvirtEndpoint, name).enabled
    ]


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
        found = (*leftovers.find(connection), *leftovers.find_orphans(connection))
    with shell.connect_to_host(host) as remote:
        return (*found, *leftovers.find_folders(remote))


@step("settle-{endpoint}")
def settle(endpoint: str, host: HostAccess, ledger_place: str) -> tuple[str, ...]:
    """Write down what finished machines have, where the ledger missed it; say what waits."""
    with open_ledger(ledger_place) as ledger, connect(host) as connection:
        settled = label_sync.settle(connection, ledger)
        label_sync.forget_gone(connection, ledger, endpoint)
        waiting = [
            f"machine {each.domain} waits for a person since {each.since:%Y-%m-%d %H:%M} UTC:"
            f" {each.why} (tradewind kept list)"
            for each in kept.all_kept(ledger)
            if each.destination == endpoint
        ]
        return (*settled, *waiting, *domains.unreadable_labels(connection))


@step("judge-leftovers-of-{endpoint}")
def judge(
    endpoint: str,
    found: Sequence[Leftover],
    ledger_place: str,
    unfinished: Sequence[OpenOutage] = (),
    notes: Sequence[str] = (),
) -> SweepReport:
    """Tell what no living run owns from what is in use, and from what others made."""
    with open_ledger(ledger_place) as ledger:
        lives = {leftover.run: ledger.life_of(leftover.run) for leftover in found}
    # A witness whose volume is gone is of no use to any run, nor is a twin that is still there.
    useless = {LeftoverKind.WITNESS, LeftoverKind.TWIN}
    lives |= {item.run: Life.DEAD for item in found if item.kind in useless}
    return SweepReport(
        endpoint=endpoint,
        notes=tuple(notes),
        dead=tuple(item for item in found if _is_dead(item, lives[item.run])),
        alive=tuple(item for item in found if lives[item.run] is Life.ALIVE),
        # The disks of a deployed machine whose domain is undefined at the moment, for example.
        # A checkpoint of a run that ended well is what the next one counts from: no leftover.
        finished=tuple(
            item
            for item in found
            if lives[item.run] is Life.FINISHED
            and item.kind not in {LeftoverKind.CHECKPOINT, LeftoverKind.FREEZE}
        ),
        unknown=tuple(item for item in found if lives[item.run] in (None, Life.UNKNOWN)),
        held=tuple(item for item in found if lives[item.run] is Life.HELD),
        outages=tuple(each for each in unfinished if endpoint in (each.source, each.destination)),
    )


def _is_dead(found: Leftover, life: Life | None) -> bool:
    """Whether nobody will remove it; a run that ended thaws no guest any more."""
    ended_well = life is Life.FINISHED and found.kind is LeftoverKind.FREEZE
    return life is Life.DEAD or ended_well


@step("read-report-of-{run}")
def _autostart(ledger_place: str, run: str) -> bool | None:
    """Read whether the machine of a deployment that ended well starts with its host."""
    with open_ledger(ledger_place) as ledger:
        return autostart_of(ledger.report_of(run))


@step("finish-{leftover.name}")
def _finish(host: HostAccess, leftover: Leftover, *, autostart: bool | None) -> None:
    """Mark a machine as finished whose deployment is completed."""
    with connect(host) as connection:
        leftovers.finish_machine(connection, leftover.name, autostart=autostart)


def finish_machines(host: HostAccess, report: SweepReport, ledger_place: str) -> SweepReport:
    """Do what deployments that ended well could not do any more: their machines are their owners'.

    They were killed after the ledger knew the end, or their host was out of reach then.
    """
    for item in report.finished:
        if item.kind is LeftoverKind.DOMAIN:
            _finish(host, item, autostart=_autostart(ledger_place, item.run))
    return report


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
    """Remove things in the order in which they were listed: jobs, domains, volumes, folders.

    A guest that does not thaw keeps nothing else from being removed; its error is raised last.
    """
    stuck: list[TradewindError] = []
    for leftover in found:
        if leftover.kind is LeftoverKind.FOLDER:
            _remove_folder(host, leftover)
            continue
        try:
            _remove(host, leftover)
        except TradewindError as error:
            if leftover.kind is not LeftoverKind.FREEZE:
                raise
            stuck.append(error)
    if stuck:
        raise stuck[0]
