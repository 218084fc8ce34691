# SPDX-License-Identifier: Apache-2.0
"""Steps that bring the final machine to life, and decide what becomes of one that fails."""

from tasks.deploy_reports import publish_failed_boot
from tasks.rehearsals import Stage
from tasks.site import Site
from tasks.step import step
from tradewind.errors import BootFailedError, TradewindError
from tradewind.host import boot_watch, domains, evidence
from tradewind.host.connection import connect
from tradewind.host.console import listening
from tradewind.ledger import open_ledger
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.label import LabelState, Purpose
from tradewind.model.landing import OnBootFailure
from tradewind.model.proof import BootProof
from tradewind.model.report import FailedBoot, Morphed
from tradewind.model.run import Run
from tradewind.remote.road import road_to_workers


@step("start-{name}", retries=0)
def _start(site: Site, name: str) -> None:
    """Start the machine."""
    with connect(site.destination) as connection:
        domains.start(connection, name)


@step("prove-boot-{name}", retries=0)
def _prove_boot(site: Site, name: str, how: boot_watch.BootWatch) -> BootProof:
    """Start the machine and watch it until it proves that it booted; keep what was seen."""
    with connect(site.destination) as connection:
        domains.start(connection, name, paused=True)
        with listening(site.destination, name) as console:
            domains.resume(connection, name)
            return boot_watch.watch(connection, name, console, how)


@step("leave-{name}-as-it-is")
def _leave(site: Site, run: Run, name: str) -> None:
    """Give the machine to its owner although it did not boot: no sweep removes it."""
    with connect(site.destination) as connection:
        finished = run.label(Purpose.MACHINE, LabelState.FINISHED)
        domains.write_label(connection, name, finished)


@step("stop-{name}")
def _stop(site: Site, name: str) -> None:
    """Switch the machine off."""
    with connect(site.destination) as connection:
        domains.stop(connection, name)


@step("give-replica-away-{run.transfer}")
def _give_away(site: Site, run: Run) -> None:
    """Write down that the replica's volumes are the machine's now."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.give_away(run.transfer)


def bring_up(stage: Stage, run: Run, name: str, morphed: Morphed) -> BootProof | None:
    """Start the machine, watched or not, or leave it off: as the request says."""
    site, request = stage.site, stage.request
    if not request.start:
        return None
    if not request.prove_boot:
        _start(site, name)
        return None
    how = boot_watch.BootWatch(
        timeout=request.boot_timeout,
        agent_expected=morphed.agent_installed,
        first_boot=morphed.first_boot,
        scripts_may_fail=request.allow_script_failure,
        folder=evidence.folder_of(run, request.machine),
        road=road_to_workers(site.destination),
    )
    try:
        return _prove_boot(site, name, how)
    except BootFailedError as error:
        fate = _decide(site, request, run, name, error)
        publish_failed_boot(
            FailedBoot(
                machine=request.machine,
                domain=name,
                destination=request.destination,
                why=error.message,
                fate=fate,
                kept=evidence.load(how.folder),
                rehearsal=request.rehearse,
            )
        )
        raise BootFailedError(error.message, f"{error.hint}; {fate}") from None


def _decide(site: Site, request: DeployRequest, run: Run, name: str, error: BootFailedError) -> str:
    """Do with the machine what was asked for, and say what became of it."""
    if request.rehearse:
        return "what was made for the rehearsal is removed"
    if request.on_boot_failure is OnBootFailure.REMOVE:
        return "what was made for it is removed (on_boot_failure: keep or stop leave it there)"
    try:
        # Off before anything else: its original may be about to be started again.
        if request.on_boot_failure is OnBootFailure.STOP:
            _stop(site, name)
        _leave(site, run, name)
        if not request.clone_disks:
            _give_away(site, run)
    except TradewindError as failure:
        return f"it could not be kept, so what was made for it is removed: {failure.message}"
    look = f"virsh console {name}, virsh screenshot {name}"
    if request.on_boot_failure is OnBootFailure.STOP:
        now = f"{name} is shut off and kept: start it with virsh start {name}, then {look}"
    else:
        now = f"{name} runs on as it is: look at it with {look}"
    return (
        f"{now}; when you are done: virsh destroy {name}, then"
        f" virsh undefine {name} --nvram --tpm --remove-all-storage"
    )
