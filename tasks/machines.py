# SPDX-License-Identifier: Apache-2.0
"""Steps that bring the final machine to life."""

from tasks.site import Site
from tasks.step import step
from tradewind.host import boot, domains
from tradewind.host.connection import connect
from tradewind.host.console import listening
from tradewind.model.report import BootProof
from tradewind.model.requests import DeployRequest


@step("start-{name}", retries=0)
def _start(site: Site, name: str) -> None:
    """Start the machine."""
    with connect(site.destination) as connection:
        domains.start(connection, name)


@step("prove-boot-{name}", retries=0)
def _prove_boot(site: Site, name: str, timeout: int, *, agent_expected: bool) -> BootProof:
    """Start the machine and watch it until it proves that it booted."""
    with connect(site.destination) as connection:
        domains.start(connection, name, paused=True)
        with listening(site.destination, name) as console:
            domains.resume(connection, name)
            return boot.prove_boot(
                connection, name, console, timeout=timeout, agent_expected=agent_expected
            )


def bring_up(
    site: Site, request: DeployRequest, name: str, *, agent_expected: bool
) -> BootProof | None:
    """Start the machine, watched or not, or leave it off: as the request says."""
    if not request.start:
        return None
    if not request.prove_boot:
        _start(site, name)
        return None
    return _prove_boot(site, name, request.boot_timeout, agent_expected=agent_expected)
