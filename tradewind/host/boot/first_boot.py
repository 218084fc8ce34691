# SPDX-License-Identifier: Apache-2.0
"""What became of the scripts that a guest ran at its first boot, through its agent."""

from collections.abc import Sequence
from typing import Final

import libvirt

from tradewind.errors import TradewindError
from tradewind.host.domain import agent
from tradewind.model.scripts import (
    FIRST_BOOT_ENDED,
    FirstBootScript,
    ScriptPhase,
    ScriptReport,
)
from tradewind.plain_text import plain, readable
from tradewind.units import KiB
from tradewind.waiting import wait_for

MOST_OUTPUT: Final = 16 * KiB
# A unit that has ended is looked for so long: its last line may be on its way to the journal.
PATIENCE: Final = 20

# `-o cat`: the lines alone. The journal keeps what a unit printed under its name.
_ASK: Final = f"""
journalctl -b --no-pager -q -o cat _SYSTEMD_UNIT="$1" | tail -c {MOST_OUTPUT}
"""


def read(
    domain: libvirt.virDomain, scripts: Sequence[FirstBootScript], *, patience: float = PATIENCE
) -> tuple[ScriptReport, ...]:
    """Ask for each script; one that the guest says nothing of has no status."""
    return tuple(_read(domain, script, patience) for script in scripts)


def unknown(script: FirstBootScript, why: str) -> ScriptReport:
    """Say that nothing is known of a script."""
    return ScriptReport(
        name=script.name, phase=ScriptPhase.FIRST_BOOT, status=None, output=why, seconds=0
    )


def _read(domain: libvirt.virDomain, script: FirstBootScript, patience: float) -> ScriptReport:
    def ended() -> ScriptReport | None:
        said = agent.run(domain, ["/bin/sh", "-c", _ASK, "sh", script.unit]).output
        return parse(script, said)

    try:
        return wait_for(ended, f"{script.unit} ends in {domain.name()}", patience, every=2)
    except TradewindError as error:
        return unknown(script, plain(error.message, 300))


def parse(script: FirstBootScript, output: str) -> ScriptReport | None:
    """Read what the journal has; None while the script has not ended."""
    lines = readable(output).splitlines()
    last = next((line for line in reversed(lines) if line.startswith(FIRST_BOOT_ENDED)), None)
    if last is None:
        return None
    _word, result, status = (*last.split(), "", "")[:3]
    shown = "\n".join(line for line in lines if line != last)
    return ScriptReport(
        name=script.name,
        phase=ScriptPhase.FIRST_BOOT,
        status=_status(result, status),
        output=shown,
        seconds=0,
        late=result == "timeout",
    )


def _status(result: str, status: str) -> int:
    """Make a number of systemd's words: a signal's name stands where no status is."""
    if result == "success":
        return 0
    return int(status) if status.isdigit() and int(status) else 1
