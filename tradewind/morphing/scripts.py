# SPDX-License-Identifier: Apache-2.0
"""Run an operator's scripts while a guest is adapted: in the worker, or inside the guest's root."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import ScriptError
from tradewind.model.guest import ChrootAccess, GuestOS
from tradewind.model.scripts import LoadedScript, ScriptPhase, ScriptReport
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing import script_runner
from tradewind.morphing.confinement import inside, program
from tradewind.morphing.mount import ROOT
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.ports import Remote
from tradewind.units import KiB

MOST_OUTPUT: Final = 16 * KiB
# Not in /run: Debian mounts it noexec.
RUNNER: Final = "/var/tmp/tradewind-script-runner"  # noqa: S108 - in the worker, root's only
IN_WORKER: Final = "/var/tmp/tradewind-script"  # noqa: S108
# In the guest /run is a file system of ours while the guest is mounted: gone with the mount.
IN_GUEST: Final = "/run/tradewind-script"

_ENVIRONMENT: Final = (
    "/usr/bin/env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C",
    "TERM=dumb",
)

# What the runner needs beside the script's own time, in an emulated worker.
_GRACE: Final = 60
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


def chosen(
    scripts: Sequence[LoadedScript], os: GuestOS, phase: ScriptPhase
) -> tuple[LoadedScript, ...]:
    """Choose this guest's scripts of a phase: for all Linux, its family, its distribution, itself.

    Within each of these the order is the one in which they were loaded.
    """
    scopes = (*scopes_of(os), "")
    fitting = (each for each in scripts if each.phase is phase and each.scope in scopes)
    return tuple(sorted(fitting, key=lambda each: scopes.index(each.scope)))


def scopes_of(os: GuestOS) -> tuple[str, ...]:
    """Name the folders whose scripts concern a guest, the most general one first."""
    return tuple(dict.fromkeys(("linux", os.family.value.replace(" ", "-"), _safe(os.id))))


def of_worker(machine: str, os: GuestOS, volumes: Sequence[ReplicaVolume]) -> dict[str, str]:
    """Say to a script in the worker what it works on: the disks, and where the root will be."""
    disks = " ".join(f"/dev/disk/by-id/virtio-{volume.serial}" for volume in volumes)
    said = _environment(machine, os, ScriptPhase.BEFORE_MOUNT)
    return {**said, "TRADEWIND_ROOT": ROOT, "TRADEWIND_DISKS": disks}


def of_guest(machine: str, os: GuestOS) -> dict[str, str]:
    """Say to a script inside the guest's root what it works on."""
    return {**_environment(machine, os, ScriptPhase.AFTER_MOUNT), "TRADEWIND_ROOT": "/"}


def of_first_boot(machine: str, os: GuestOS) -> dict[str, str]:
    """Say to a script in the running guest what it works on."""
    return _environment(machine, os, ScriptPhase.FIRST_BOOT)


def _environment(machine: str, os: GuestOS, phase: ScriptPhase) -> dict[str, str]:
    """Describe the guest. No secrets, and nothing that a guest could smuggle in."""
    return {
        "TRADEWIND_PHASE": phase.value,
        "TRADEWIND_MACHINE": machine,
        "TRADEWIND_FAMILY": os.family.value.replace(" ", "-"),
        "TRADEWIND_OS": _safe(os.id),
        "TRADEWIND_OS_VERSION": _safe(os.version),
    }


def run_in_worker(
    remote: Remote, script: LoadedScript, variables: Mapping[str, str]
) -> ScriptReport:
    """Run a script in the worker, as root."""
    remote.write(IN_WORKER, script.text.encode(), 0o700)
    return _run(remote, script, [*_ENVIRONMENT, *_assignments(variables), IN_WORKER])


def run_in_guest(
    remote: Remote, root: str, script: LoadedScript, variables: Mapping[str, str]
) -> ScriptReport:
    """Run a script inside the guest's root, as the guest's root user, with disks and network."""
    RemoteGuestTree(remote, root).write_text(IN_GUEST, script.text, 0o700)
    work = program(*_assignments(variables), IN_GUEST)
    return _run(remote, script, inside(root, work, ChrootAccess.NETWORK))


def judge(report: ScriptReport, *, allowed: bool) -> ScriptReport:
    """Raise ScriptError when a script failed, unless that is allowed."""
    if report.failed and not allowed:
        raise ScriptError(
            f"script {report.name} ({report.phase}) {report.outcome}; it printed last:\n"
            f"{report.output[-2000:] or '(nothing)'}",
            "mend the script; or set allow_script_failure, and the deployment goes on",
        )
    return report


def _run(remote: Remote, script: LoadedScript, argv: Sequence[str]) -> ScriptReport:
    remote.write(RUNNER, Path(script_runner.__file__).read_bytes(), 0o700)
    begun = time.monotonic()
    ended = remote.run(
        ["python3", RUNNER, str(script.time_limit), str(MOST_OUTPUT), *argv],
        timeout=script.time_limit + _GRACE,
        check=False,
    )
    return ScriptReport(
        name=script.name,
        phase=script.phase,
        status=ended.status,
        output=ended.stdout,
        seconds=time.monotonic() - begun,
        late=ended.status == script_runner.LATE,
    )


def _assignments(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def _safe(text: str) -> str:
    """Leave out what a hostile guest could make a script trip over."""
    return _UNSAFE.sub("", text)[:64]
