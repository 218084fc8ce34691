# SPDX-License-Identifier: Apache-2.0
"""Leave a script in the guest that its systemd runs once, when it boots for the first time.

The unit takes itself away when the script has ended, however it ended; what it printed stays in the
guest's journal. A power cut in the middle leaves it there: it then runs again.
"""

import re
from collections.abc import Mapping
from typing import Final

from tradewind.errors import ScriptError
from tradewind.model.scripts import FIRST_BOOT_ENDED, FirstBootScript, LoadedScript
from tradewind.morphing.files import present
from tradewind.morphing.linux import systemd
from tradewind.ports import GuestTree

# Where systemd's policy lets a service run programs from, also with SELinux (bin_t).
FOLDER: Final = "/usr/local/sbin"
UNITS: Final = "/etc/systemd/system"
WANTS: Final = f"{UNITS}/multi-user.target.wants"

_SYSTEMD: Final = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
# A file of the guest: its line for a shell has no program of ours beside it, and no arguments.
_UNIT: Final = """\
[Unit]
Description=Run {name} once, after the move to this host
After=network.target

[Service]
Type=oneshot
{environment}
ExecStart={script}
ExecStopPost=/bin/sh -c 'echo "{result} $$SERVICE_RESULT $$EXIT_STATUS"; rm -f {files}'
TimeoutStartSec={limit}
TimeoutStopSec=10
StandardOutput=journal
StandardError=journal

[Install]
WantedBy=multi-user.target
"""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]+")


def unit_of(script: LoadedScript, number: int) -> str:
    """Name the unit of the n-th script of this phase."""
    return f"tradewind-first-boot-{number:02}-{_UNSAFE.sub('-', script.name)}.service"


def install(
    guest: GuestTree, script: LoadedScript, number: int, variables: Mapping[str, str]
) -> FirstBootScript:
    """Leave a script for the first boot, and prove that it will run.

    ScriptError for a guest without systemd.
    """
    if not present(guest, *_SYSTEMD):
        raise ScriptError(
            f"script {script.name} (first boot): this guest has no systemd, which would run it",
            "run it in the phase “after mount”, or leave it out",
        )
    unit = unit_of(script, number)
    program = f"{FOLDER}/{unit.removesuffix('.service')}"
    guest.write_text(program, script.text, 0o755)
    guest.write_text(
        f"{UNITS}/{unit}",
        _UNIT.format(
            name=_quoted(script.name),
            environment="\n".join(
                f'Environment="{name}={_quoted(value)}"' for name, value in variables.items()
            ),
            script=program,
            result=FIRST_BOOT_ENDED,
            files=f"{program} {UNITS}/{unit} {WANTS}/{unit}",
            limit=script.time_limit,
        ),
    )
    guest.run(["systemctl", "enable", unit])
    if not systemd.starts(systemd.states(guest, [unit]).get(unit, "")):
        raise ScriptError(f"script {script.name} (first boot): its unit {unit} is not enabled")
    return FirstBootScript(name=script.name, unit=unit, time_limit=script.time_limit)


def _quoted(value: str) -> str:
    """Write a value for a unit file: systemd.syntax(7), with % and $ as systemd.exec(5) wants."""
    plain = "".join(character for character in value if character.isprintable())
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
