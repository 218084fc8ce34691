# SPDX-License-Identifier: Apache-2.0
"""A boot that is watched leaves evidence, whether it succeeds or not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tests.unit.host.boot.test_screenshot import DOMAIN, ppm
from tradewind.errors import BootFailedError
from tradewind.host.boot import boot_proof, evidence, first_boot, systemd_state
from tradewind.host.boot.console import Console
from tradewind.host.boot.watch import BootWatch, watch
from tradewind.host.domain import domains
from tradewind.model.proof import BootEvidence, BootProof, SystemdState
from tradewind.model.scripts import FirstBootScript


@pytest.fixture
def machine(host: FakeConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv(evidence.VARIABLE, str(tmp_path))
    domains.start_transient(host, DOMAIN)
    host.host.screens["web01"] = ppm(72, 40)
    console = Console()
    console.feed(b"Kernel panic - not syncing\r\n")
    return console


def proven(evidence: BootEvidence) -> Any:
    proof = BootProof(evidence=evidence, lines=(), addresses=(), seconds=1)
    return lambda *_, **__: proof


def how(tmp_path: Path) -> BootWatch:
    return BootWatch(timeout=0.1, agent_expected=False, folder=tmp_path / "one")


@pytest.mark.parametrize("state", ["running", "degraded", "starting", ""])
def test_systemd_is_asked_through_the_agent(
    host: FakeConnection,
    machine: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    monkeypatch.setattr(boot_proof, "prove_boot", proven(BootEvidence.AGENT))
    monkeypatch.setattr(systemd_state, "read", lambda *_, **__: SystemdState(state=state))
    proof = watch(host, "web01", machine, how(tmp_path))
    assert proof.systemd.state == state
    assert Path(proof.kept.screenshot).read_bytes().startswith(b"\x89PNG")
    assert proof.kept.console == "Kernel panic - not syncing"
    assert (proof.seconds, proof.watched_seconds > 0) == (1, True)


def test_without_an_agent_the_proof_is_said_to_be_weaker(
    host: FakeConnection, machine: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_proof, "prove_boot", proven(BootEvidence.CONSOLE))
    assert "weaker" in watch(host, "web01", machine, how(tmp_path)).systemd.note


def test_an_emergency_shell_is_no_boot(
    host: FakeConnection, machine: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_proof, "prove_boot", proven(BootEvidence.AGENT))
    broken = SystemdState(state="maintenance", failed=("data.mount",))
    monkeypatch.setattr(systemd_state, "read", lambda *_, **__: broken)
    with pytest.raises(BootFailedError, match=r"maintenance.*failed: data\.mount") as caught:
        watch(host, "web01", machine, how(tmp_path))
    assert f"kept in {tmp_path / 'one'}" in caught.value.hint


def test_a_boot_that_is_late_leaves_evidence(
    host: FakeConnection, machine: Console, tmp_path: Path
) -> None:
    with pytest.raises(BootFailedError, match="Kernel panic") as caught:
        watch(host, "web01", machine, how(tmp_path))
    assert f"kept in {tmp_path / 'one'}" in caught.value.hint
    assert evidence.load(tmp_path / "one").screenshot


def test_a_script_of_the_first_boot_that_fails_spoils_it(
    host: FakeConnection, machine: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = FirstBootScript(name="join", unit="join.service", time_limit=60)
    asked = dataclasses.replace(how(tmp_path), first_boot=(script,))
    waited: list[float] = []

    def read(*_: object, settle: float) -> SystemdState:
        waited.append(settle)
        return SystemdState(state="degraded", failed=("join.service",))

    failed = first_boot.unknown(script, "no such domain").model_copy(update={"status": 3})
    monkeypatch.setattr(boot_proof, "prove_boot", proven(BootEvidence.AGENT))
    monkeypatch.setattr(systemd_state, "read", read)
    monkeypatch.setattr(first_boot, "read", lambda *_: (failed,))
    with pytest.raises(BootFailedError, match=r"script join .* failed with status 3"):
        watch(host, "web01", machine, asked)
    assert waited == [asked.settle + 60]
    allowed = dataclasses.replace(asked, scripts_may_fail=True)
    assert watch(host, "web01", machine, allowed).first_boot == (failed,)


def test_without_an_agent_nothing_is_known_of_first_boot_scripts(
    host: FakeConnection, machine: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = FirstBootScript(name="join", unit="join.service", time_limit=60)
    monkeypatch.setattr(boot_proof, "prove_boot", proven(BootEvidence.CONSOLE))
    asked = dataclasses.replace(how(tmp_path), first_boot=(script,))
    (report,) = watch(host, "web01", machine, asked).first_boot
    assert report.status is None
    assert "no guest agent" in report.output
