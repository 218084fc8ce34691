# SPDX-License-Identifier: Apache-2.0
"""Take tools away: packages are removed, whatever else started them is switched off.

A package that others need stays, and is switched off: what an operator wanted to have may depend
on it. Uninstallers that came with the tools are programs of strangers, and are not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import GuestOS, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux import packages, systemd
from tradewind.morphing.linux.foreign import settings
from tradewind.ports import GuestTree, PackageSystem
from tradewind.shell_programs import program

_SYSTEMCTL = ("/usr/bin/systemctl", "/bin/systemctl")
_OFF_ALREADY = 9
_SCRIPT_OFF: Final = program(__file__, "script_off.sh")


@dataclass(frozen=True, slots=True)
class PlatformTools:
    """What one platform's tools are made of.

    `packages` are shell patterns; `units` and `scripts` (in /etc/init.d) are what starts them;
    `traces` are paths that only installers without packages leave; `configuration` is kept before
    anything is removed; `repositories` are host names of their maker; `filesystems` are types
    that only the old host can serve, and that the next boot would wait for.
    """

    name: str
    packages: tuple[str, ...]
    units: tuple[str, ...]
    scripts: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    filesystems: tuple[str, ...] = ()


def take_away(guest: GuestTree, os: GuestOS, tools: PlatformTools) -> Outcome:
    """Remove packages that nothing else needs, switch off the rest, and look again."""
    system = packages.find_system(guest, os)
    there = files.present(
        guest,
        *_SYSTEMCTL,
        *tools.configuration,
        *tools.traces,
        *(f"/etc/init.d/{script}" for script in tools.scripts),
    )
    found = system.matching(*tools.packages) if system else ()
    kept = ""
    if system and found:
        for path in tools.configuration:
            if path in there:
                backup.keep(guest, path)
        kept = _remove(system, found)
    off = _switch_off(guest, tools, there)
    off += settings.quiet(guest, tools.repositories, tools.filesystems)
    traces = [path for path in tools.traces if path in there]
    return _outcome(tools, () if kept else found, kept, off, traces)


def _remove(system: PackageSystem, found: Sequence[str]) -> str:
    """Remove packages, or say why they stay."""
    try:
        others = system.leaving_with(*found)
        if others:
            return f"{', '.join(found)} stays, since {', '.join(sorted(others))} would go with it"
        system.remove(*found)
    except PackageError as error:
        return error.message
    return ""


def _switch_off(guest: GuestTree, tools: PlatformTools, there: Sequence[str]) -> list[str]:
    off: list[str] = []
    scripts = [s for s in tools.scripts if f"/etc/init.d/{s}" in there]
    units = {f"{name}.service" for name in scripts}
    if set(_SYSTEMCTL) & set(there):
        states = systemd.states(guest, [*tools.units, *sorted(units)])
        off += systemd.disable(guest, [u for u, s in states.items() if systemd.starts(s)])
        scripts = [s for s in scripts if f"{s}.service" not in states]
    for script in scripts:
        done = guest.run(["sh", "-c", _SCRIPT_OFF, "sh", str(_OFF_ALREADY), script], check=False)
        if done.status == _OFF_ALREADY:
            continue
        if done.status != 0:
            raise MorphingError(
                f"/etc/init.d/{script} of {tools.name} cannot be switched off: "
                + done.stderr[-300:].strip(),
                "remove the tools on the source, and transfer again",
            )
        off.append(script)
    return off


def _outcome(
    tools: PlatformTools,
    removed: Sequence[str],
    kept: str,
    off: Sequence[str],
    traces: Sequence[str],
) -> Outcome:
    words = []
    if removed:
        words.append(f"removed {', '.join(removed)}")
    if kept:
        words.append(kept)
    if off:
        words.append(f"switched off {', '.join(off)}")
    if not words and not traces:
        return Outcome(changed=False, summary=f"{tools.name}: none there, or off already")
    remedy = ""
    if traces:
        remedy = f"files of an installation without packages stay: {', '.join(traces)}"
    summary = "; ".join(words) or f"{tools.name}: what is left is off already"
    return Outcome(changed=bool(removed or off), summary=summary, remedy=remedy)
