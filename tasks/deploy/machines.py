# SPDX-License-Identifier: Apache-2.0
"""Steps that bring the final machine to life, and decide what becomes of one that fails."""

from datetime import UTC, datetime

from tasks.deploy.rehearsals import DeployContext
from tasks.environment import Environment
from tasks.publish import publish_failed_boot
from tasks.step import step
from tradewind.errors import BootFailedError, TradewindError
from tradewind.host.boot import evidence, watch
from tradewind.host.boot.console import listening
from tradewind.host.domain import domains, label_sync
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.ledger import Kept
from tradewind.model.proof import BootProof
from tradewind.model.report import FailedBoot, Morphed
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Run
from tradewind.remote.route import route_to_workers


@step("start-{name}", retries=0)
def _start(env: Environment, name: str) -> None:
    """Start the machine."""
    with env.connect() as connection:
        domains.start(connection, name)


@step("prove-boot-{name}", retries=0)
def _prove_boot(env: Environment, name: str, how: watch.BootWatch) -> BootProof:
    """Start the machine and watch it until it proves that it booted; keep what was seen."""
    with env.connect() as connection:
        domains.start(connection, name, paused=True)
        with listening(env.destination, name) as console:
            domains.resume(connection, name)
            return watch.watch(connection, name, console, how)


@step("keep-{name}")
def _keep(env: Environment, request: DeployRequest, run: Run, name: str, why: str) -> None:
    """Leave the machine to a person although it did not boot: no sweep removes it."""
    kept = Kept(
        run=run.id,
        transfer=run.transfer,
        domain=name,
        destination=request.destination,
        since=datetime.now(UTC),
        why=why,
    )
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        label_sync.keep(connection, ledger, run, kept, with_replica=not request.clone_disks)


@step("stop-{name}")
def _stop(env: Environment, name: str) -> None:
    """Switch the machine off."""
    with env.connect() as connection:
        domains.stop(connection, name)


def bring_up(context: DeployContext, run: Run, name: str, morphed: Morphed) -> BootProof | None:
    """Start the machine, watched or not, or leave it off: as the request says."""
    env, request = context.env, context.request
    if not request.start:
        return None
    if not request.prove_boot:
        _start(env, name)
        return None
    how = watch.BootWatch(
        timeout=request.boot_timeout,
        agent_expected=morphed.agent_installed,
        first_boot=morphed.first_boot,
        scripts_may_fail=request.allow_script_failure,
        folder=evidence.folder_of(run, request.machine),
        route=route_to_workers(env.destination),
    )
    try:
        return _prove_boot(env, name, how)
    except BootFailedError as error:
        fate = _decide(env, request, run, name, error)
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


def _decide(
    env: Environment, request: DeployRequest, run: Run, name: str, error: BootFailedError
) -> str:
    """Do with the machine what was asked for, and say what became of it."""
    if request.rehearse:
        return "what was made for the rehearsal is removed"
    if request.on_boot_failure is OnBootFailure.REMOVE:
        return "what was made for it is removed (on_boot_failure: keep or stop leave it there)"
    try:
        # Off before anything else: its original may be about to be started again.
        if request.on_boot_failure is OnBootFailure.STOP:
            _stop(env, name)
        _keep(env, request, run, name, error.message)
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
        " (`tradewind kept list` lists it until then)"
    )
