# SPDX-License-Identifier: Apache-2.0
"""What runs in the lab, and how to look at it."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Column, Table

from lab import daemons, mirror_service, namespaces, settings
from lab.commands import call
from lab.records import HOSTS, HostPlan, Lab, LabHost
from tradewind.units import human_size


class ListedDomain(NamedTuple):
    """A domain of a host, as `virsh list` shows it."""

    name: str
    state: str


def missing() -> list[str]:
    """Name what should run and does not: `up` repairs it."""
    lost = [f"{daemon.name} on {plan.name}" for plan in HOSTS for daemon in _stopped(plan)]
    return lost if mirror_service.pid() else [*lost, "the package mirror"]


def _stopped(plan: HostPlan) -> list[daemons.Daemon]:
    return [each for each in daemons.DAEMONS if not daemons.is_running(plan, each)]


def guests(plan: HostPlan) -> list[ListedDomain]:
    """Return the host's domains; none when its libvirtd does not run."""
    if namespaces.daemon(plan, "libvirtd", "libvirtd") is None:
        return []
    listing = call(namespaces.enter(plan, ["virsh", "-q", "list", "--all"])).stdout
    rows = [line.split(maxsplit=2) for line in listing.splitlines() if line.strip()]
    return [ListedDomain(name, state.strip()) for _, name, state in rows]


def show(console: Console, lab: Lab) -> None:
    """Print the lab: a table, then commands to copy, which no line break may cut."""
    console.print(_hosts(lab))
    console.print("\n".join(_ways_in(lab)), soft_wrap=True, markup=False, highlight=False)
    if lost := missing():
        told = f"not running: {', '.join(lost)}; `python -m lab up` repairs that"
        console.print(told, style="red", markup=False)


def _hosts(lab: Lab) -> Table:
    guests_shown = Column("guests", overflow="fold")
    table = Table("host", "address", guests_shown, "lan", "default (NAT)", title="The lab is up")
    for plan in HOSTS:
        shown = "\n".join(f"{guest.name}: {guest.state}" for guest in guests(plan)) or "none"
        table.add_row(plan.name, plan.address, shown, f"{plan.lan}.0/24", f"{plan.nat}.0/24")
    table.caption = (
        "guests run on hardware virtualization"
        if lab.kvm
        else "guests are emulated: /dev/kvm is missing or does not work"
    )
    return table


def _ways_in(lab: Lab) -> Iterator[str]:
    size = sum(path.stat().st_size for path in settings.mirror_folder.rglob("*") if path.is_file())
    yield f"package mirror: {lab.mirror_url} ({human_size(size)})"
    for host in (lab.source, lab.destination):
        yield f"to look around on {host.name}:"
        yield f"  virsh -c '{host.uri}' list --all"
        yield f"  {ssh_command(host)}"
        yield f"  python -m lab shell {host.name}   (as root)"


def ssh_command(host: LabHost) -> str:
    """Return the command that opens a session with the rights that Tradewind has."""
    known = f"-o UserKnownHostsFile={settings.known_hosts_file}"
    return f"ssh -i {host.key_path} {known} {host.username}@{host.address}"
