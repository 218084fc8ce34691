# SPDX-License-Identifier: Apache-2.0
"""Watch a machine boot: the proof, what its systemd says of it, and evidence that is kept."""

import time
from dataclasses import dataclass
from pathlib import Path

import libvirt

from tradewind.errors import BootFailedError
from tradewind.host.boot import boot_proof, evidence, first_boot, systemd_state
from tradewind.host.boot.console import Console
from tradewind.host.domain import domains
from tradewind.model.proof import BROKEN, BootEvidence, BootProof, SystemdState
from tradewind.model.scripts import FirstBootScript, ScriptReport
from tradewind.remote.route import DIRECT, Route


@dataclass(frozen=True, slots=True)
class BootWatch:
    """How a boot is watched; `folder` is where its evidence is kept, on this machine.

    `timeout` and `settle` are seconds: until the machine answers, and then for its services.
    """

    timeout: float
    agent_expected: bool
    folder: Path
    route: Route = DIRECT
    settle: float = systemd_state.SETTLE
    first_boot: tuple[FirstBootScript, ...] = ()
    scripts_may_fail: bool = False

    @property
    def patience(self) -> float:
        """How long services may take to start: scripts of the first boot are among them."""
        return self.settle + sum(script.time_limit for script in self.first_boot)


def watch(connection: libvirt.virConnect, name: str, console: Console, how: BootWatch) -> BootProof:
    """Prove the boot and keep its evidence; BootFailedError names the folder it is kept in."""
    try:
        proof = boot_proof.prove_boot(
            connection,
            name,
            console,
            timeout=how.timeout,
            agent_expected=how.agent_expected,
            route=how.route,
        )
    except BootFailedError as error:
        raise _with_evidence(connection, name, console, how, error) from None
    proven = time.monotonic()
    systemd = _systemd(connection, name, proof, how)
    scripts = _first_boot(connection, name, proof, how)
    failure = _failure(name, systemd, () if how.scripts_may_fail else scripts, console)
    if failure is not None:
        raise _with_evidence(connection, name, console, how, failure)
    kept = evidence.keep(connection, name, console, how.folder)
    found = {"systemd": systemd, "first_boot": scripts, "kept": kept}
    watched = time.monotonic() - proven
    return proof.model_copy(update={**found, "watched_seconds": watched})


def _failure(
    name: str, systemd: SystemdState, scripts: tuple[ScriptReport, ...], console: Console
) -> BootFailedError | None:
    """Say what spoils a boot whose machine answers."""
    if systemd.state in BROKEN:
        return BootFailedError(
            f"machine {name} booted into systemd's “{systemd.state}” state"
            f" (failed: {', '.join(systemd.failed) or 'nothing'}); its console said last:\n"
            f"{console.last_lines() or '(nothing)'}",
            "look at its console: a file system in its fstab may be missing",
        )
    failed = next((script for script in scripts if script.failed), None)
    if failed is None:
        return None
    return BootFailedError(
        f"machine {name} booted, and its script {failed.name} (first boot) {failed.outcome}; it"
        f" printed last:\n{failed.output[-2000:] or '(nothing)'}",
        "mend the script; or set allow_script_failure, and the deployment ends well",
    )


def _first_boot(
    connection: libvirt.virConnect, name: str, proof: BootProof, how: BootWatch
) -> tuple[ScriptReport, ...]:
    if proof.evidence is not BootEvidence.AGENT:
        why = "no guest agent answers; the guest's journal has what it printed"
        return tuple(first_boot.unknown(script, why) for script in how.first_boot)
    return first_boot.read(domains.require_domain(connection, name), how.first_boot)


def _systemd(
    connection: libvirt.virConnect, name: str, proof: BootProof, how: BootWatch
) -> SystemdState:
    if proof.evidence is not BootEvidence.AGENT:
        return SystemdState(
            note="systemd's state is not known: no guest agent answers, so the proof is weaker"
        )
    return systemd_state.read(domains.require_domain(connection, name), settle=how.patience)


def _with_evidence(
    connection: libvirt.virConnect,
    name: str,
    console: Console,
    how: BootWatch,
    error: BootFailedError,
) -> BootFailedError:
    kept = evidence.keep(connection, name, console, how.folder)
    where = f"console and screenshot are kept in {kept.folder}" if kept.folder else ""
    hint = "; ".join(part for part in (error.hint, where, kept.note) if part)
    return BootFailedError(error.message, hint)
