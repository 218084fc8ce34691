# SPDX-License-Identifier: Apache-2.0
"""Ask a guest's systemd, through the guest agent, whether everything came up."""

from typing import Final

import libvirt

from tradewind.errors import LateError, TradewindError
from tradewind.host.domain import agent
from tradewind.model.proof import SystemdState
from tradewind.plain_text import plain
from tradewind.shell_programs import program
from tradewind.waiting import wait_for

# How long a guest whose agent answers may go on starting its services.
SETTLE: Final = 180
MOST_UNITS: Final = 20
_NO_SYSTEMD: Final = 44

_ASK: Final = program(__file__, "systemd_state.sh")
_STARTING: Final = frozenset({"initializing", "starting"})


def read(domain: libvirt.virDomain, *, settle: float = SETTLE) -> SystemdState:
    """Wait until systemd has started everything, at most `settle` seconds; say what it says.

    A guest without systemd, or an agent that runs no commands, is no error: the note says so.
    """
    last: list[SystemdState] = []

    def settled() -> SystemdState | None:
        last[:] = [_ask(domain)]
        return None if last[0].state in _STARTING else last[0]

    try:
        return wait_for(settled, f"services of {domain.name()} are started", settle, every=3)
    except LateError:
        return last[0].model_copy(
            update={"note": f"after {settle:.0f} s more it still started services"}
        )


def _ask(domain: libvirt.virDomain) -> SystemdState:
    try:
        said = agent.run(domain, ["/bin/sh", "-c", _ASK, "sh", str(_NO_SYSTEMD)])
    except TradewindError as error:
        return SystemdState(note=f"systemd's state is not known: {plain(error.message, 300)}")
    if said.status == _NO_SYSTEMD:
        return SystemdState(note="systemd does not run in this guest: its services were not asked")
    return parse(said.output)


def parse(output: str) -> SystemdState:
    """Read what the questions printed."""
    state, failed, waiting = "", [], []
    for line in output.splitlines():
        match line.split():
            case ["state", word]:
                state = plain(word, 40)
            case ["failed", unit]:
                failed.append(plain(unit, 100))
            case ["job", number, unit, "running"] if number.isdigit():
                waiting.append(plain(unit, 100))
    if not state:
        return SystemdState(note="systemd's state is not known: systemctl did not answer")
    return SystemdState(
        state=state, failed=tuple(failed[:MOST_UNITS]), waiting=tuple(waiting[:MOST_UNITS])
    )
