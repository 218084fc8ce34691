# SPDX-License-Identifier: Apache-2.0
"""One deployment, step by step, and how it is undone."""

import os
import signal
import time
from typing import Any

import libvirt
import pytest
from prefect.exceptions import TerminationSignal
from pydantic import SecretStr

from blocks import GuestSecrets
from flows.deploy import deploy
from flows.transfer import transfer
from tests.fakes.flow_stage import NIC, Stage
from tradewind.errors import (
    BadInputError,
    BootFailedError,
    CapacityError,
    HypervisorError,
    MorphingError,
    NotFoundError,
    OptionError,
)
from tradewind.host import leftovers
from tradewind.host.domain import domains, overlays
from tradewind.host.storage import witness
from tradewind.model.ledger import Life
from tradewind.model.proof import SystemdState
from tradewind.model.run import LabelState, Purpose
from tradewind.morphing import plan
from tradewind.units import GiB

IN_ORDER = [
    "begin deployment",
    # 1. clone
    "clone sda",
    "clone sdb",
    # 2. worker boot and hot-attach
    "discard worker morphing",
    "start worker morphing",
    "create seed",
    "worker answers morphing",
    "attach sda",
    "attach sdb",
    # 3. morph
    "inspect guest",
    "mount",
    "morph …",
    "unmount",
    "close guest",
    # 4. detach, delete the worker
    "detach",
    "detach",
    "discard worker morphing",
    # 5. domain create, boot proof
    "define",
    "start web01",
    "prove web01 (agent expected)",
    "finish completed",
    "label finished",
]


@pytest.fixture
def replica(stage: Stage) -> set[str]:
    """A replica of web01; the names of its volumes and of the worker image."""
    stage.make_replica()
    return stage.volumes()


def without_names_of_morphs(diary: list[str]) -> list[str]:
    """Write any number of morphing steps in a row as one line."""
    lines = ["morph …" if line.startswith("morph ") else line for line in diary]
    return [line for i, line in enumerate(lines) if line != "morph …" or lines[i - 1] != line]


def is_synced(stage: Stage) -> bool:
    with stage.ledger() as ledger:
        return ledger.find_transfer(stage.endpoint, stage.endpoint, "web01").synced is not None


def test_steps_come_in_order(stage: Stage, replica: set[str]) -> None:
    report = deploy(stage.deploy())
    assert without_names_of_morphs(stage.diary) == IN_ORDER
    morphs = [line.removeprefix("morph ") for line in stage.diary if line.startswith("morph ")]
    assert morphs == [plan.name(step) for step in plan.STEPS if plan.name(step) in morphs]
    assert "qemu-guest-agent" in morphs
    assert [step.step for step in report.steps] == morphs
    assert stage.domains() == {"web01"}
    domain = domains.require_domain(stage.host, "web01")
    label = domains.read_label(domain)
    assert label is not None
    assert (label.state, label.purpose) == (LabelState.FINISHED, Purpose.MACHINE)
    assert label.run == report.deployment
    clones = stage.volumes() - replica
    assert clones == {
        f"tradewind-{report.deployment}-web01-{disk}.qcow2" for disk in ("sda", "sdb")
    }
    xml = domain.XMLDesc()
    places = [xml.index(f"/pools/fast/{clone}") for clone in sorted(clones)]
    assert places == sorted(places)  # in the order of the source's disks
    assert NIC.mac in xml
    assert "network='lan'" in xml or 'network="lan"' in xml
    assert stage.volumes() >= replica
    assert is_synced(stage)


def test_deployment_can_be_repeated(stage: Stage, replica: set[str]) -> None:
    deploy(stage.deploy(skip_os_morphing=True))
    with pytest.raises(BadInputError, match="a machine “web01” on vm already"):
        deploy(stage.deploy())
    deploy(stage.deploy(skip_os_morphing=True, name="web01-again"))
    assert stage.domains() == {"web01", "web01-again"}


def unproven() -> None:
    raise BootFailedError("machine web01 proves that it booted: not within 600 s")


def test_boot_is_proven_with_evidence(stage: Stage, replica: set[str]) -> None:
    stage.systemd = SystemdState(state="degraded", failed=("exim4.service",))
    proof = deploy(stage.deploy(skip_os_morphing=True)).proof
    assert proof is not None
    assert proof.systemd.failed == ("exim4.service",)
    assert proof.kept.console == "GRUB loading.\nweb01 login:"
    (folder,) = stage.evidence.iterdir()
    assert proof.kept.folder == str(folder)


@pytest.mark.parametrize(("choice", "runs"), [("keep", True), ("stop", False)])
def test_machine_that_does_not_boot_is_left_when_asked(
    stage: Stage, replica: set[str], choice: str, runs: bool
) -> None:
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError, match="virsh undefine web01"):
        deploy(stage.deploy(on_boot_failure=choice))
    domain = domains.require_domain(stage.host, "web01")
    assert bool(domain.isActive()) is runs
    label = domains.read_label(domain)
    assert label is not None
    assert label.state is LabelState.FINISHED
    assert len(stage.volumes() - replica) == 2  # its clones, and no overlay of a worker
    assert stage.diary[-1] == "finish failed"
    assert is_synced(stage)
    sweep_keeps_it = leftovers.find(stage.host)
    assert sweep_keeps_it == ()


def test_machine_that_is_left_on_the_replica_owns_it(stage: Stage, replica: set[str]) -> None:
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError):
        deploy(stage.deploy(on_boot_failure="stop", clone_disks=False, skip_os_morphing=True))
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        assert ledger.volumes(known.id) == []


def be_stopped() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)


def assert_undone(stage: Stage, replica: set[str]) -> None:
    assert stage.diary[-1] == "finish failed"
    assert "label finished" not in stage.diary
    assert stage.domains() == set()
    assert stage.volumes() == replica
    assert is_synced(stage)


def test_unproven_boot_undoes_the_deployment(stage: Stage, replica: set[str]) -> None:
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError, match="proves that it booted"):
        deploy(stage.deploy())
    assert_undone(stage, replica)
    stage.instead_of_proof = lambda: None
    deploy(stage.deploy(skip_os_morphing=True))  # the replica is as good as before
    assert stage.domains() == {"web01"}


def test_sigterm_undoes_the_deployment(stage: Stage, replica: set[str]) -> None:
    stage.instead_of_proof = be_stopped
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    try:
        with pytest.raises(TerminationSignal):
            deploy(stage.deploy(skip_os_morphing=True))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert_undone(stage, replica)


def test_failed_morphing_ends_worker_and_clones(
    stage: Stage, replica: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise MorphingError("the initramfs could not be rebuilt")

    monkeypatch.setattr(plan, "perform", refuse)
    with pytest.raises(MorphingError, match="initramfs"):
        deploy(stage.deploy())
    assert stage.diary[-2:] == ["discard worker morphing", "finish failed"]
    assert "define" not in stage.diary
    assert_undone(stage, replica)


def test_replica_itself_becomes_the_machine(stage: Stage, replica: set[str]) -> None:
    report = deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    assert not report.cloned
    assert stage.volumes() == replica
    assert not any(line.startswith(("clone", "overlay")) for line in stage.diary)
    assert stage.diary[:3] == ["begin deployment", "replica changes", "define"]
    assert stage.diary[-3:] == ["finish completed", "give replica away", "label finished"]
    assert not is_synced(stage)
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        assert ledger.volumes(known.id) == []
        assert ledger.life_of(report.deployment) is Life.FINISHED


def replica_contents(stage: Stage) -> dict[str, bytes]:
    return {
        path: bytes(content)
        for path, content in stage.host.host.contents.items()
        if path.startswith("/pools/fast/web01-") and not path.endswith(witness.SUFFIX)
    }


def write_to_the_disks(stage: Stage) -> None:
    """Write, as a worker does, to whatever is attached to it."""
    for path in stage.attached_paths():
        stage.host.host.contents[path][:] = b"adapted " + path.encode()


def test_without_a_clone_the_guest_is_changed_on_overlays(stage: Stage, replica: set[str]) -> None:
    stage.instead_of_morph = lambda: write_to_the_disks(stage)
    deploy(stage.deploy(clone_disks=False))
    in_order = [line for line in stage.diary if line.split()[0] in WITH_OVERLAYS]
    assert in_order == [
        "overlay sda",
        "overlay sdb",
        "unmount",
        "replica changes",  # before the first byte of it does
        "commit sda",
        "commit sdb",
        "detach",
        "detach",
        "define",
        "give replica away",
    ]
    assert stage.volumes() == replica
    changed = replica_contents(stage)
    assert len(changed) == 2
    assert all(content.startswith(b"adapted ") for content in changed.values())
    assert all(b"overlay" in content for content in changed.values())


WITH_OVERLAYS = {"overlay", "unmount", "replica", "commit", "detach", "define", "give"}


def test_failed_step_leaves_the_replica_as_it_was(stage: Stage, replica: set[str]) -> None:
    before = replica_contents(stage)

    def change_and_fail() -> None:
        write_to_the_disks(stage)
        raise MorphingError("the initramfs could not be rebuilt")

    stage.instead_of_morph = change_and_fail
    with pytest.raises(MorphingError, match="initramfs"):
        deploy(stage.deploy(clone_disks=False))
    assert replica_contents(stage) == before
    assert "replica changes" not in stage.diary
    assert_undone(stage, replica)
    deploy(stage.deploy(skip_os_morphing=True))


def test_merge_that_fails_leaves_a_replica_that_nobody_trusts(
    stage: Stage, replica: set[str]
) -> None:
    stage.host.host.merge_fails = True
    with pytest.raises(HypervisorError, match="gave up merging"):
        deploy(stage.deploy(clone_disks=False))
    assert stage.volumes() == replica
    assert not is_synced(stage)
    with pytest.raises(NotFoundError, match="never completed"):
        deploy(stage.deploy())


def test_no_room_for_overlays_is_found_first(
    stage: Stage, replica: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlays, "ROOM", 200 * GiB)
    with pytest.raises(CapacityError, match="adapting the guest without a clone needs 200"):
        deploy(stage.deploy(clone_disks=False))
    assert stage.diary == []
    deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))


def test_replica_that_was_booted_wants_a_transfer_first(stage: Stage, replica: set[str]) -> None:
    stage.instead_of_proof = unproven
    with pytest.raises(BootFailedError):
        deploy(stage.deploy(clone_disks=False, skip_os_morphing=True))
    assert stage.domains() == set()
    assert stage.volumes() == replica
    assert "give replica away" not in stage.diary
    with pytest.raises(NotFoundError, match="never completed"):
        deploy(stage.deploy())
    transfer(stage.transfer())
    assert stage.volumes() == replica
    assert is_synced(stage)


@pytest.mark.parametrize(
    ("changes", "started"),
    [
        ({"start": False}, []),
        ({"prove_boot": False}, ["start web01"]),
        ({}, ["start web01", "prove web01 (no agent expected)"]),
    ],
)
def test_started_and_watched_as_asked(
    stage: Stage, replica: set[str], changes: dict[str, Any], started: list[str]
) -> None:
    report = deploy(stage.deploy(skip_os_morphing=True, **changes))
    assert not any("worker" in line for line in stage.diary)
    after = stage.diary[stage.diary.index("define") + 1 : stage.diary.index("finish completed")]
    assert after == started
    assert domains.require_domain(stage.host, "web01").isActive() == bool(started)
    assert (report.proof is None) == (len(started) < 2)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"machine": "web02"}, NotFoundError, "no replica of “web02”"),
        ({"network_map": {}}, OptionError, "NIC 52:54:00:1a:2b:3c: its network “office”"),
        ({"overrides": {"cpu_features": "warp"}}, OptionError, "option cpu_features"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    stage: Stage,
    replica: set[str],
    changes: dict[str, Any],
    kind: type[BadInputError],
    said: str,
) -> None:
    with pytest.raises(kind, match=said):
        deploy(stage.deploy(**changes))
    assert stage.diary == []
    assert stage.volumes() == replica


def test_unfinished_replica_is_not_deployed(stage: Stage) -> None:
    def fail() -> None:
        raise MorphingError("the stream ended")

    stage.instead_of_stream = fail
    with pytest.raises(MorphingError):
        transfer(stage.transfer())
    with pytest.raises(NotFoundError, match="was never completed"):
        deploy(stage.deploy())


def test_the_consoles_password_comes_from_the_guests_secrets_and_is_in_no_report(
    stage: Stage, replica: set[str]
) -> None:
    GuestSecrets(vnc_password=SecretStr("eightchr")).save("console-of-web01", overwrite=True)
    console = {"enable_vm_vnc_console": True}
    asked = stage.deploy(
        skip_os_morphing=True, overrides=console, guest_secrets="console-of-web01", name="closed"
    )
    closed = deploy(asked)
    domain = domains.require_domain(stage.host, "closed")
    assert "eightchr" in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    assert "eightchr" not in domain.XMLDesc()
    assert "eightchr" not in closed.model_dump_json() + str(asked)
    assert not any("VNC" in line for line in closed.shortfalls)
    plain = deploy(stage.deploy(skip_os_morphing=True, overrides=console, name="open"))
    described = domains.require_domain(stage.host, "open").XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    assert "<graphics" in described
    assert "passwd" not in described
    assert any("VNC console listens on every address" in line for line in plain.shortfalls)
