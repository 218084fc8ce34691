# SPDX-License-Identifier: Apache-2.0
"""Steps that lend a rehearsal its network, and take everything away afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tasks.environment import DestinationContext, Environment
from tasks.step import step
from tradewind.cleanup import cleanup_on_exit
from tradewind.host import leftovers, networks
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.hardware import Autostart
from tradewind.model.network import NetworkMap
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Run, labelled_name


@dataclass(frozen=True, slots=True)
class DeployContext:
    """What a deployment works with: as asked for, or what a rehearsal makes of it.

    `rehearsal` says in words for the report where it was, empty when it was none.
    """

    env: Environment
    request: DeployRequest
    surveyed: DestinationContext
    rehearsal: str = ""


@step("make-network-{name}")
def _make_network(env: Environment, name: str, subnet: str) -> None:
    """Make a network that nothing leaves."""
    with env.connect() as connection:
        networks.make_isolated(connection, name, subnet)


@step("check-network-{name}")
def _check_network(env: Environment, name: str) -> None:
    """See that nothing leaves the network that was named."""
    with env.connect() as connection:
        networks.require_isolated(connection, name)


@step("remove-rehearsal-{run.id}")
def _remove(env: Environment, run: Run) -> None:
    """Remove the machine that was rehearsed with, its disks, and its network."""
    with env.connect() as connection:
        leftovers.remove_run(connection, run.id)


@contextmanager
def isolated_if_rehearsal(
    env: Environment, request: DeployRequest, surveyed: DestinationContext, run: Run
) -> Iterator[DeployContext]:
    """Lend what the deployment works with; of a rehearsal nothing is left afterwards."""
    if not request.rehearse:
        yield DeployContext(env, request, surveyed)
        return
    with cleanup_on_exit(lambda: _remove(env, run), what=f"rehearsal {run.id}"):
        network = request.rehearsal_network or labelled_name(run.id, "rehearsal")
        if request.rehearsal_network:
            _check_network(env, network)
        else:
            _make_network(env, network, request.rehearsal_subnet)
        yield _apart(env, request, surveyed, network)


def _apart(
    env: Environment, request: DeployRequest, surveyed: DestinationContext, network: str
) -> DeployContext:
    """Keep the rehearsal apart: every NIC on its network, and nothing of it on the host's disk.

    The console's log would stay behind, and only root may remove it: the console is listened to.
    """
    facts = surveyed.facts.model_copy(update={"networks": (*surveyed.facts.networks, network)})
    quiet = env.options.model_copy(update={"enable_vm_console_log": False})
    asked = {
        "network_map": NetworkMap.model_validate({"default": network}),
        # A UUID of its own: the machine that has the old one may be defined here meanwhile.
        "hardware": request.hardware.model_copy(
            update={"keep_uuid": False, "autostart": Autostart.OFF}
        ),
        "on_boot_failure": OnBootFailure.REMOVE,
    }
    return DeployContext(
        env=replace(env, options=quiet),
        request=request.model_copy(update=asked),
        surveyed=surveyed.model_copy(update={"facts": facts}),
        rehearsal=f"every NIC was on network {network}, which nothing leaves; machine, disks"
        f"{'' if request.rehearsal_network else ' and network'} are removed",
    )
