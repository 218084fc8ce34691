# SPDX-License-Identifier: Apache-2.0
"""Where the matrix is played: the lab, its bystanders, a ledger and options of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lab
from lab import daemons, settings, site
from lab.faults import hosts as host_faults
from lab.faults import network, services
from lab.records import HOSTS, Lab, LabHost
from tests.live.faults import world
from tests.live.faults.processes import Server, server

OPTIONS: Final = "faults"
# What the names of the machines begin with that are hurt.
VICTIM: Final = "victim-"
LEDGER: Final = settings.state_folder / "ledger-of-faults" / "ledger.sqlite"
# Room for the replicas of two machines and a clone of one; it can be filled in an instant.
POOL_SIZE: Final = 128


@dataclass(frozen=True, slots=True)
class Scene:
    """What a cell needs: the hosts and the server of processes."""

    source: LabHost
    destination: LabHost
    server: Server

    @property
    def hosts(self) -> tuple[LabHost, LabHost]:
        return self.source, self.destination

    def look(self) -> dict[str, world.Host]:
        """Look at both hosts."""
        return {host.name: world.look(host) for host in self.hosts}

    def bystanders(self) -> dict[str, world.Bystander]:
        """Look at what is somebody else's on both."""
        return {host.name: world.bystander(host) for host in self.hosts}

    def mend(self) -> None:
        """Undo what a fault may have left: rules, dead daemons, a server that hangs."""
        for plan in HOSTS:
            network.mend(plan)
            daemons.start(plan)
        services.mend(LEDGER)


@contextmanager
def scene(the_lab: Lab, folder: Path) -> Iterator[Scene]:
    """Lend the scene; the lab has its blocks and its worker image already."""
    _store_options()
    LEDGER.parent.mkdir(parents=True, exist_ok=True)
    for plan, host in zip(HOSTS, (the_lab.source, the_lab.destination), strict=True):
        host_faults.make_bounded_pool(plan, POOL_SIZE)
        network.mend(plan)
        world.settle_bystander(host)
    with server(folder) as lent:
        yield Scene(the_lab.source, the_lab.destination, lent)


def _store_options() -> None:
    from blocks import ProviderOptionsBlock  # noqa: PLC0415 - Prefect reads its settings at import

    chosen = {
        **site.options(),
        "default_storage_pool": host_faults.BOUNDED,
        "sqlite_database_file": str(LEDGER),
    }
    ProviderOptionsBlock(**chosen).save(OPTIONS, overwrite=True)


def forget(lent: Scene, prefix: str) -> None:
    """Take away whatever bears this prefix, and the ledger: the next cells begin with nothing."""
    for host in lent.hosts:
        _remove_machines(host, prefix)
        folder = f"/var/lib/libvirt/{host_faults.BOUNDED}"
        gone = f"find {folder} /var/lib/libvirt/images -name '*{prefix}*' -delete"
        clones = f"find {folder} -name 'tradewind-*' -delete; rm -rf /var/tmp/tradewind-*"
        lab.run(host, ["sh", "-c", f"{gone}; {clones}; virsh pool-refresh {host_faults.BOUNDED}"])
        lab.run(host, ["virsh", "pool-refresh", "default"])
    for file in LEDGER.parent.glob("ledger.sqlite*"):
        file.unlink()


def _remove_machines(host: LabHost, prefix: str) -> None:
    listed = lab.run(host, ["virsh", "list", "--all", "--name"]).stdout.split()
    wipe = ["--nvram", "--tpm", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata"]
    for name in listed:
        if name.startswith((prefix, "tradewind-")):
            lab.run(host, ["virsh", "destroy", name], check=False)
            lab.run(host, ["virsh", "undefine", name, *wipe], check=False)


def leave(lent: Scene) -> None:
    """Take the scene away from a lab that others go on using."""
    for prefix in (VICTIM, world.BYSTANDER):
        forget(lent, prefix)
    for plan in HOSTS:
        host_faults.remove_bounded_pool(plan)
