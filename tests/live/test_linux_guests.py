# SPDX-License-Identifier: Apache-2.0
"""Each Linux guest of the lab: replicated while it is off, adapted, started, and looked into."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

import images
from images import rpm_mirror
from lab import linux_guests, machines, segments, site
from lab.linux_guests import LinuxGuest
from lab.records import Lab
from tests.live.tradewind_command import Tradewind
from tradewind.model.options import OptionOverrides
from tradewind.model.proof import BootEvidence
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import DeployRequest
from tradewind.remote import shell
from tradewind.units import human_duration
from tradewind.waiting import wait_for

# Building, moving and booting one takes eight minutes and more: `make test-all`.
pytestmark = [pytest.mark.live, pytest.mark.slow]

BOOT_TIMEOUT: Final = 600
SECRETS: Final = "lab-guest"
SUMS: Final = "cd {files} && sha256sum -c --quiet SHA256SUMS && wc -l <SHA256SUMS"
# Whether all that starts has started, and which units failed.
STATE: Final = "systemctl is-system-running --wait; systemctl --failed --plain --no-legend"


@dataclass(frozen=True, slots=True)
class Move:
    """What was done with one guest."""

    guest: LinuxGuest
    transfer: TransferReport
    deployment: DeployReport


_moves: list[Move] = []


@pytest.fixture(
    scope="module",
    params=[pytest.param(guest, id=guest.machine.name) for guest in linux_guests.ALL],
)
def guest(request: pytest.FixtureRequest, the_lab: Lab) -> LinuxGuest:
    """A guest, shut off on the source; the mirror has what its family installs."""
    chosen: LinuxGuest = request.param
    images.build_mirror()
    if "standin" in chosen.machine.recipe:
        rpm_mirror.build_rpm_mirrors()
    machines.install(chosen.machine, the_lab.source, kvm=the_lab.kvm)
    return chosen


@pytest.fixture(scope="module")
def move(guest: LinuxGuest, the_lab: Lab, tradewind: Tradewind) -> Iterator[Move]:
    """The guest on the destination, where its network is now; it is removed at the end."""
    from blocks import GuestSecrets  # noqa: PLC0415 - Prefect reads its settings at import
    from flows.deploy import deploy  # noqa: PLC0415

    if guest.passphrase:
        GuestSecrets(passphrase=SecretStr(guest.passphrase)).save(SECRETS, overwrite=True)

    moved = tradewind.transfer(guest.machine.name)
    if guest.segment:
        segments.carry(the_lab.destination, guest.segment)
    deployed = deploy(request_for(guest))
    done = Move(guest, moved, deployed)
    _moves.append(done)
    yield done
    for host in (the_lab.source, the_lab.destination):
        machines.remove(guest.machine, host)


def request_for(guest: LinuxGuest) -> DeployRequest:
    return DeployRequest(
        machine=guest.machine.name,
        source=site.SOURCE,
        destination=site.DESTINATION,
        overrides=OptionOverrides(set_dhcp=guest.set_dhcp),
        guest_secrets=SECRETS if guest.passphrase else "",
        boot_timeout=BOOT_TIMEOUT,
    )


def address_of(move: Move) -> str:
    """Where it has to answer: at its own address, or at one that the report names."""
    if not move.guest.set_dhcp:
        return move.guest.machine.address
    assert move.deployment.proof is not None
    (address,) = move.deployment.proof.addresses[:1]
    return address


def test_the_guest_boots_and_its_agent_answers(move: Move) -> None:
    assert move.deployment.proof is not None
    assert move.deployment.proof.evidence is BootEvidence.AGENT
    for step in move.deployment.steps:
        print(f"\n  {step.step}: {step.outcome.summary} ({human_duration(step.seconds)})", end="")


def test_it_has_the_network_that_was_asked_for(move: Move) -> None:
    assert move.deployment.proof is not None
    address = address_of(move)
    assert address in move.deployment.proof.addresses
    assert address.startswith("198.18.20.") is move.guest.set_dhcp
    wait_for(lambda: machines.answers(address), f"the guest answers at {address}", 120, every=2)


def test_it_is_the_same_machine(move: Move) -> None:
    with shell.connect_to_host(machines.access(address_of(move))) as inside:
        assert inside.run(["hostname"]).stdout.strip() == move.guest.host_name
        sums = inside.run(["sh", "-c", SUMS.format(files=move.guest.files)], timeout=300)
        disks = inside.run(["lsblk", "-dno", "NAME"]).stdout.split()
        state = inside.run(["sh", "-c", STATE], timeout=300).stdout.splitlines()
    assert sums.stdout.strip() == "8"
    assert set(disks) <= {"vda", "vdb"}
    print(f"\nsystemd: {', '.join(state)}")
    assert state[0] in {"running", "degraded"}, state


def proof_of(report: DeployReport) -> str:
    """Say in a cell who answered, what systemd said, and where."""
    if report.proof is None:
        return "none"
    state = " ".join((report.proof.systemd.state, *report.proof.systemd.failed))
    return ", ".join((report.proof.evidence, state, *report.proof.addresses))


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Print, when all is done, what became of each guest."""
    yield
    rows = Table(
        "guest", "layout", "steps that changed it", "proof", "transfer", "deployment", "morphing"
    )
    for move in _moves:
        report = move.deployment
        seconds = (
            move.transfer.seconds,
            report.seconds,
            sum(step.seconds for step in report.steps),
        )
        rows.add_row(
            move.guest.machine.name,
            move.guest.layout,
            ", ".join(step.step for step in report.steps if step.outcome.changed),
            proof_of(report),
            *map(human_duration, seconds),
        )
    console = Console(width=160)
    console.print()
    console.print(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "guest_at_home",
    [pytest.param(guest, id=guest.machine.name) for guest in linux_guests.ALL],
)
def test_each_guest_runs_on_the_source(guest_at_home: LinuxGuest, the_lab: Lab) -> None:
    """What is moved is a machine that works: with its own disks, NICs, firmware and network."""
    machine = guest_at_home.machine
    machines.install(machine, the_lab.source, kvm=the_lab.kvm)
    if guest_at_home.segment:
        segments.carry(the_lab.source, guest_at_home.segment)
    machines.start(machine, the_lab.source)
    what = f"{machine.name} answers at {machine.address} on the source"
    wait_for(lambda: machines.answers(machine.address), what, BOOT_TIMEOUT, every=2)
    with shell.connect_to_host(machines.access(machine.address)) as inside:
        assert inside.run(["hostname"]).stdout.strip() == guest_at_home.host_name
        state = inside.run(["sh", "-c", STATE], timeout=300).stdout.splitlines()
        sums = inside.run(["sh", "-c", SUMS.format(files=guest_at_home.files)], timeout=300)
    machines.remove(machine, the_lab.source)
    print(f"\n{machine.name} on the source: systemd {', '.join(state)}")
    assert state[0] in {"running", "degraded"}, state
    assert sums.stdout.strip() == "8"
