# SPDX-License-Identifier: Apache-2.0
"""How an outage ends: behind the point of no return with the new machine, else with the original.

The point is written in the ledger, in the one transaction that completes the deployment. Before it
every failure goes back; behind it nothing may. The original is started only when the new machine is
proven gone or off, at that moment; where that cannot be proven it stays off, and a person decides.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from tasks.move.cutover import Cutover
from tasks.publish import publish_given_up
from tasks.step import step
from tradewind import ending
from tradewind.cutover import fencing, original
from tradewind.errors import BootFailedError, TradewindError
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.model.cutover import Outage
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.host import HostAccess
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.migrate import GivenUp
from tradewind.model.outage import OutageEnd
from tradewind.ports import DataSource


@step("fence-{outage.machine.name}")
def _fence(host: HostAccess, outage: Outage) -> None:
    """Prove that no new machine of this outage runs on the destination."""
    with connect(host) as connection:
        fencing.fence(connection, outage)


@step("look-at-the-original-{machine.name}")
def _require_unchanged(
    source: DataSource, machine: VirtualMachine, place: str, *, accept_edits: bool
) -> None:
    """See that the original is what was shut down."""
    original.require_unchanged(source, machine, place, accept_edits=accept_edits)


@step("start-again-{machine.name}")
def _start_again(source: DataSource, machine: VirtualMachine) -> None:
    """Start the machine where it was."""
    source.start(machine)


@step("restore-autostart-of-{machine.name}")
def _restore_autostart(source: DataSource, machine: VirtualMachine) -> None:
    """Let the machine start with its host again, if it did."""
    source.start_with_host(machine, wanted=machine.autostart)


@step("end-outage-of-{outage.machine.name}")
def _end(place: str, outage: Outage, end: OutageEnd) -> None:
    """Write down which machine is in charge."""
    with open_ledger(place) as ledger:
        ledger.outages.end(outage.id, end)


@step("read-outage-of-{outage.machine.name}")
def _read(place: str, outage: Outage) -> Outage:
    """Ask the ledger how far the outage came, and which deployment is of it."""
    with open_ledger(place) as ledger:
        return ledger.outages.get(outage.id)


@contextmanager
def restart_source_on_failure(cutover: Cutover) -> Iterator[Cutover]:
    """Lend the outage; if anything fails in it before the point of no return, it is undone.

    Also after a shutdown that came too late: the guest may have gone down since.
    """
    name = cutover.machine.name
    with ending.lent(
        f"the outage of {name}: tradewind move resume {name}, or tradewind move rollback {name}"
    ):
        try:
            yield cutover
        except BaseException as error:
            if ending.means_the_end(error):
                ending.begin()
            if cutover.outage is not None:
                with ending.undisturbed():
                    _settle(cutover, cutover.outage, error)
            raise
        moved(cutover)


def moved(cutover: Cutover) -> None:
    """End the outage with the new machine in charge; the ledger knows of that already.

    So nothing changes when this fails: the outage is shown until `tradewind move resume` ends it.
    """
    assert cutover.outage is not None  # noqa: S101 - it ended well, so it began; this tells mypy
    try:
        _end(cutover.ledger_place, cutover.outage, OutageEnd.MOVED)
    except TradewindError as error:
        get_run_logger().warning("the outage is over, and the ledger does not know: %s", error)


def _settle(cutover: Cutover, outage: Outage, error: BaseException) -> None:
    """End the outage as well as it goes, and say with the error where the machine is."""
    try:
        now = _ended(cutover, outage)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the first error is told
        now = _stays_off(cutover, failure)
    error.add_note(now)
    publish_given_up(
        GivenUp(
            machine=cutover.machine.name,
            source=cutover.request.transfer.source,
            destination=cutover.request.transfer.destination,
            why=str(error) or type(error).__name__,
            source_now=now,
            kept=_is_kept(cutover, error),
        )
    )


def _ended(cutover: Cutover, outage: Outage) -> str:
    known = _read(cutover.ledger_place, outage) if cutover.lands else outage
    if not known.phase.is_final:
        return "; ".join(return_to_source(cutover, known))
    _end(cutover.ledger_place, outage, OutageEnd.MOVED)
    where = cutover.request.transfer.destination
    return (
        f"{cutover.machine.name} has moved: the new machine is proven and runs on {where}, the"
        " original is shut off; only what came after failed"
    )


def return_to_source(
    cutover: Cutover, outage: Outage, *, accept_edits: bool = False
) -> tuple[str, ...]:
    """Fence the new machine, start the original as it was before, and say what came of it.

    FencingError when it may not start; anything else when it could not be started.
    """
    source, machine = cutover.source, outage.machine
    place = cutover.request.transfer.source
    if cutover.lands:
        _fence(cutover.env.destination, outage)
    _require_unchanged(source, machine, place, accept_edits=accept_edits)
    if machine.power is PowerState.RUNNING:
        _start_again(source, machine)
        said = f"{machine.name} runs on {place} again"
    else:
        said = f"{machine.name} is shut off on {place}, as it was before"
    return (said, *_afterwards(cutover, outage))


def _afterwards(cutover: Cutover, outage: Outage) -> Iterator[str]:
    """Do what is left when the original runs; what fails of it is told, and changes nothing."""
    name = outage.machine.name
    try:
        _restore_autostart(cutover.source, outage.machine)
    except TradewindError as failure:
        yield f"its autostart is off, and was on: virsh autostart {name} ({failure.message})"
    try:
        _end(cutover.ledger_place, outage, OutageEnd.WENT_BACK)
    except TradewindError as failure:
        yield (
            f"the ledger does not know that ({failure.message}); when it answers: tradewind move"
            f" rollback {name}"
        )


def _stays_off(cutover: Cutover, failure: Exception) -> str:
    """Return where the machine is when it may not be started, or could not, and what to do."""
    name, transfer = cutover.machine.name, cutover.request.transfer
    new = cutover.request.deploy_options.name or name
    lines = [f"{name} could NOT be started on {transfer.source}: {failure}"]
    if cutover.lands:
        lines.append(
            f"it is shut off on {transfer.source}, and what runs on {transfer.destination} is not"
            f" known: look there with virsh domstate {new}"
        )
    lines.append(
        f"if the new machine is right: tradewind move resume {name}; else: tradewind move rollback"
        f" {name}, which starts the original once the new one is proven gone or off"
    )
    return "; ".join(lines)


def _is_kept(cutover: Cutover, error: BaseException) -> bool:
    wanted = cutover.request.deploy_options.on_boot_failure is not OnBootFailure.REMOVE
    return wanted and isinstance(error, BootFailedError)
