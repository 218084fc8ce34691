# SPDX-License-Identifier: Apache-2.0
"""Cut the network between two of the controller, the source, the destination and its workers.

The rules are in the hosts' own namespaces: this machine's firewall stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from lab import namespaces, settings
from lab.commands import call
from lab.records import DESTINATION, SOURCE, HostPlan

# So that whatever dies in between, `mend` finds the rules.
_CHAIN: Final = "TW-FAULTS"
_HOOKS: Final = ("INPUT", "OUTPUT", "FORWARD")


class PacketFault(StrEnum):
    """What becomes of the packets."""

    RESET = "reset"
    DROP = "drop"


class Party(StrEnum):
    """Who talks to whom."""

    CONTROLLER = "controller"
    SOURCE = "source"
    DESTINATION = "destination"
    WORKER = "worker"


ADDRESSES: Final = {
    Party.CONTROLLER: settings.CONTROLLER,
    Party.SOURCE: SOURCE.address,
    Party.DESTINATION: DESTINATION.address,
    # Workers are on the destination's network `lan`; the host has its first address.
    Party.WORKER: f"{DESTINATION.lan}.64/26,{DESTINATION.lan}.128/25",
}
# A cut is made on the host that sees both: the worker's packets pass through the destination.
_PLACES: Final = {Party.SOURCE: SOURCE, Party.DESTINATION: DESTINATION, Party.WORKER: DESTINATION}


@contextmanager
def cut(one: Party, other: Party, how: PacketFault) -> Iterator[None]:
    """Let nothing pass between two parties; connections that exist end, or hang."""
    plan = _place(one, other)
    _prepare(plan)
    for source, target in ((one, other), (other, one)):
        for rule in _rules(how):
            between = ["-s", ADDRESSES[source], "-d", ADDRESSES[target]]
            _iptables(plan, "-A", _CHAIN, *_local(plan, between), *rule)
    try:
        yield
    finally:
        mend(plan)


def mend(plan: HostPlan) -> None:
    """Let everything pass again, whoever has cut it."""
    for hook in _HOOKS:
        while _iptables(plan, "-D", hook, "-j", _CHAIN, check=False):
            pass
    _iptables(plan, "-F", _CHAIN, check=False)
    _iptables(plan, "-X", _CHAIN, check=False)


def _place(one: Party, other: Party) -> HostPlan:
    """Choose the host whose own packets these are, the destination where both have one."""
    places = [_PLACES[party] for party in (one, other) if party in _PLACES]
    return DESTINATION if DESTINATION in places else places[0]


def _local(plan: HostPlan, between: list[str]) -> list[str]:
    """Let a host be meant by all its addresses: to its own workers it has another one."""
    lan = f"{plan.lan}.1"
    worker = ADDRESSES[Party.WORKER]
    own = f"{plan.address},{lan}" if worker in between else plan.address
    return [own if word == plan.address else word for word in between]


def _rules(how: PacketFault) -> list[list[str]]:
    if how is PacketFault.DROP:
        return [["-j", "DROP"]]
    # The answer passes these rules as well, on its way out.
    answer = ["-p", "tcp", "--tcp-flags", "RST", "RST", "-j", "ACCEPT"]
    reset = ["-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]
    return [answer, reset, ["-j", "REJECT"]]


def _prepare(plan: HostPlan) -> None:
    mend(plan)
    _iptables(plan, "-N", _CHAIN)
    for hook in _HOOKS:
        _iptables(plan, "-I", hook, "-j", _CHAIN)


def _iptables(plan: HostPlan, *words: str, check: bool = True) -> bool:
    argv = namespaces.enter(plan, ["iptables", "-w", *words])
    return call(argv, check=check).returncode == 0
