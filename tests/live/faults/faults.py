# SPDX-License-Identifier: Apache-2.0
"""The faults that can be: what each needs to be there, and how it is done and undone."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from lab.faults import hosts, network, services
from lab.faults.network import PacketFault, Party
from lab.records import DESTINATION, SOURCE, HostPlan
from tests.live.faults.scene import LEDGER

# Seconds: longer than a step's first retries take, shorter than a person would wait.
BRIEF: Final = 12.0
# A daemon's restart takes about as long.
RESTART: Final = 2.0
# Until the run has ended by itself, or so long.
LASTING: Final = 150.0

WORKER: Final = "worker"
MACHINE: Final = "machine"


@dataclass(frozen=True, slots=True)
class Target:
    """Who is hurt: the process at its stop, and the machine that is on its way."""

    pid: int
    machine: str


Injection = Callable[[Target], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`seconds` is how long it lasts, at most; `needs` is what must be there to be hurt."""

    name: str
    words: str
    inject: Injection
    seconds: float = 0.0
    needs: str = ""

    @property
    def is_lasting(self) -> bool:
        """Whether it lasts until the run has ended."""
        return self.seconds >= LASTING

    def fits(self, machine_runs: bool, guests: tuple[str, ...]) -> bool:
        """Say whether there is anything to hurt when these guests run."""
        if self.needs == WORKER:
            return any(is_worker(name) for name in guests)
        return self.needs != MACHINE or machine_runs


def is_worker(guest: str) -> bool:
    """Tell a worker by its name."""
    return guest.startswith("tradewind-") and guest.endswith(("-transfer", "-morphing"))


def _signalled(number: signal.Signals) -> Injection:
    def inject(target: Target) -> AbstractContextManager[None]:
        os.kill(target.pid, number)
        return nullcontext()

    return inject


def _worker_dies(_target: Target) -> AbstractContextManager[None]:
    for name in hosts.running(DESTINATION):
        if is_worker(name):
            hosts.kill_qemu(DESTINATION, name)
    return nullcontext()


def _machine_dies(target: Target) -> AbstractContextManager[None]:
    hosts.kill_qemu(SOURCE, target.machine)
    return nullcontext()


def _restarted(plan: HostPlan) -> Injection:
    return lambda _target: hosts.daemons_restarted(plan)


def _cut(one: Party, other: Party, how: PacketFault) -> Injection:
    return lambda _target: network.cut(one, other, how)


def _process_faults() -> Iterator[Fault]:
    yield Fault("kill", "SIGKILL to the flow's process", _signalled(signal.SIGKILL))
    yield Fault("term", "SIGTERM to the flow's process", _signalled(signal.SIGTERM))
    yield Fault("worker-dies", "the worker's QEMU is killed", _worker_dies, needs=WORKER)
    yield Fault("machine-dies", "the machine's QEMU is killed", _machine_dies, needs=MACHINE)
    for plan in (SOURCE, DESTINATION):
        words = f"libvirt's daemons on the {plan.name} are restarted"
        yield Fault(f"libvirtd-{plan.name}", words, _restarted(plan), RESTART)


def _network_faults() -> Iterator[Fault]:
    for how in PacketFault:
        for one, other in combinations(Party, 2):
            needs = WORKER if Party.WORKER in (one, other) else ""
            words = f"between {one} and {other} every packet is " + _becomes(how)
            inject = _cut(one, other, how)
            yield Fault(f"{how}-{one}-{other}", words, inject, BRIEF, needs)
    for other in (Party.SOURCE, Party.DESTINATION, Party.WORKER):
        needs = WORKER if other is Party.WORKER else ""
        yield Fault(
            f"cut-{other}-for-good",
            f"the controller cannot reach the {other} until the run has ended",
            _cut(Party.CONTROLLER, other, PacketFault.DROP),
            LASTING,
            needs,
        )


def _becomes(how: PacketFault) -> str:
    seconds = f"for {BRIEF:.0f} s"
    return f"answered with a reset {seconds}" if how is PacketFault.RESET else f"dropped {seconds}"


def _service_faults() -> Iterator[Fault]:
    yield Fault(
        "pool-full",
        "the destination's pool is full until the run has ended",
        lambda _target: hosts.pool_filled(DESTINATION),
        LASTING,
    )
    yield Fault("api-gone", "Prefect's server is restarted", lambda _: services.api_gone(), BRIEF)
    hangs = f"Prefect's server takes connections and says nothing for {BRIEF:.0f} s"
    yield Fault("api-hangs", hangs, lambda _: services.api_hanging(), BRIEF)
    gone = f"the ledger's file system is not there for {BRIEF:.0f} s"
    yield Fault("ledger-gone", gone, lambda _: services.ledger_gone(LEDGER), BRIEF)
    locked = f"another program holds the ledger's lock for {BRIEF:.0f} s"
    yield Fault("ledger-locked", locked, lambda _: services.ledger_locked(LEDGER), BRIEF)
    for name, what, inject in (
        ("api", "Prefect's server", services.api_gone),
        ("ledger", "the ledger's file system", lambda: services.ledger_gone(LEDGER)),
    ):
        words = f"{what} is away until the run has ended"
        yield Fault(f"{name}-gone-for-good", words, _without(inject), LASTING)


def _without(inject: Callable[[], AbstractContextManager[None]]) -> Injection:
    return lambda _target: inject()


FAULTS: Final = {
    fault.name: fault for fault in (*_process_faults(), *_network_faults(), *_service_faults())
}


@contextmanager
def injected(fault: Fault, target: Target, *, ended: Callable[[float], bool]) -> Iterator[None]:
    """Do it, let the block say go, and undo it when its time is over or the run has ended."""
    with fault.inject(target):
        yield
        with suppress(ProcessLookupError):
            ended(fault.seconds)
