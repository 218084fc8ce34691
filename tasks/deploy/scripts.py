# SPDX-License-Identifier: Apache-2.0
"""Steps that run the operator's own scripts, each its own task."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.step import step
from tradewind.model.guest import GuestOS, MountedGuest
from tradewind.model.host import Worker
from tradewind.model.requests import DeployRequest
from tradewind.model.scripts import FirstBootScript, LoadedScript, ScriptPhase, ScriptReport
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing import first_boot, script_files, scripts
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.remote import shell


@dataclass(frozen=True, slots=True)
class LoadedScripts:
    """The scripts that were loaded, for which machine, and whether they may fail."""

    machine: str
    loaded: tuple[LoadedScript, ...] = ()
    may_fail: bool = False


@step("load-scripts-for-{request.machine}")
def _load(request: DeployRequest) -> tuple[LoadedScript, ...]:
    """Read the scripts from this machine; refuse what is missing or odd."""
    return script_files.load(request.scripts, request.scripts_folder)


def load_scripts(request: DeployRequest) -> LoadedScripts:
    """Load the scripts that were asked for, before anything is made."""
    asked = request.scripts or request.scripts_folder
    loaded = _load(request) if asked else ()
    return LoadedScripts(request.machine, loaded, request.allow_script_failure)


@step("script-before-mount-{script.name}", retries=0)
def _before_mount(
    worker: Worker,
    os: GuestOS,
    asked: LoadedScripts,
    volumes: Sequence[ReplicaVolume],
    script: LoadedScript,
) -> ScriptReport:
    """Run a script in the worker, which has the guest's disks."""
    with shell.connect_to_worker(worker) as remote:
        return scripts.judge(
            scripts.run_in_worker(remote, script, scripts.of_worker(asked.machine, os, volumes)),
            allowed=asked.may_fail,
        )


@step("script-after-mount-{script.name}", retries=0)
def _after_mount(
    worker: Worker, os: GuestOS, asked: LoadedScripts, guest: MountedGuest, script: LoadedScript
) -> ScriptReport:
    """Run a script inside the guest's root."""
    with shell.connect_to_worker(worker) as remote:
        return scripts.judge(
            scripts.run_in_guest(remote, guest.root, script, scripts.of_guest(asked.machine, os)),
            allowed=asked.may_fail,
        )


@step("script-first-boot-{script.name}", retries=0)
def _first_boot(
    worker: Worker,
    os: GuestOS,
    asked: LoadedScripts,
    guest: MountedGuest,
    script: LoadedScript,
    number: int,
) -> FirstBootScript:
    """Leave a script in the guest that it runs once, when it boots."""
    with shell.connect_to_worker(worker) as remote:
        tree = RemoteGuestTree(remote, guest.root)
        return first_boot.install(tree, script, number, scripts.of_first_boot(asked.machine, os))


def run_before_mount(
    worker: Worker, os: GuestOS, asked: LoadedScripts, volumes: Sequence[ReplicaVolume]
) -> list[ScriptReport]:
    """Run the scripts of this phase that concern the guest, in order."""
    fitting = scripts.chosen(asked.loaded, os, ScriptPhase.BEFORE_MOUNT)
    return [_before_mount(worker, os, asked, volumes, script) for script in fitting]


def run_after_mount(
    worker: Worker, os: GuestOS, asked: LoadedScripts, guest: MountedGuest
) -> list[ScriptReport]:
    """Run the scripts of this phase that concern the guest, in order."""
    fitting = scripts.chosen(asked.loaded, os, ScriptPhase.AFTER_MOUNT)
    return [_after_mount(worker, os, asked, guest, script) for script in fitting]


def leave_for_first_boot(
    worker: Worker, os: GuestOS, asked: LoadedScripts, guest: MountedGuest
) -> tuple[FirstBootScript, ...]:
    """Leave the scripts of this phase that concern the guest, in order."""
    fitting = scripts.chosen(asked.loaded, os, ScriptPhase.FIRST_BOOT)
    return tuple(
        _first_boot(worker, os, asked, guest, script, number)
        for number, script in enumerate(fitting, 1)
    )
