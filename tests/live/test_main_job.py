# SPDX-License-Identifier: Apache-2.0
"""The main job: a running machine moves to another host and boots there."""

from datetime import UTC, datetime

import pytest

import lab
from lab import demo_machine, site
from lab.demo import evidence
from lab.records import Lab
from tests.live import durations, hosts
from tests.live.tradewind_command import Tradewind
from tradewind.host.domain.freeze import FROZEN
from tradewind.model.proof import BootEvidence
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.run import Run, new_run_id
from tradewind.sources.libvirt.source import LibvirtSource
from tradewind.units import MiB, human_duration, human_rate, human_size
from tradewind.waiting import wait_for

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def moved(tradewind: Tradewind, the_lab: Lab, demo: str) -> TransferReport:
    """The first transfer of the running demo machine."""
    wait_for(demo_machine.answers, "the demo machine answers", 400)
    before = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    report = tradewind.transfer(demo)
    after = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    replicas = [planned.volume.name for planned in report.plan.create]
    before["destination"]["volumes"] = sorted([*before["destination"]["volumes"], *replicas])
    after["destination"]["volumes"] = sorted(after["destination"]["volumes"])
    assert after == before
    return report


@pytest.fixture(scope="module")
def deployed(tradewind: Tradewind, moved: TransferReport) -> DeployReport:
    """The demo machine, deployed from a clone of its replica."""
    return tradewind.deploy(moved.machine)


def test_a_running_machine_is_replicated_sparsely(moved: TransferReport) -> None:
    sent, read = moved.sent, sum(disk.read for disk in moved.disks)
    capacity = sum(disk.capacity for disk in moved.disks)
    print(
        f"\nworker boot to SSH: {moved.worker_seconds_to_ssh:.1f} s"
        f"\nstreamed {human_size(sent)} of {human_size(capacity)} in"
        f" {human_duration(moved.stream_seconds)}: {human_rate(sent, moved.stream_seconds)}"
        f"\npeak memory of the flow process: {human_size(moved.peak_memory)}"
    )
    assert moved.full
    assert 0 < sent <= read < capacity / 10
    assert "one point in time" in moved.consistency


def test_the_ui_shows_progress_and_a_report(moved: TransferReport) -> None:
    durations.show(f"transfer-{moved.machine}")
    for disk in moved.disks:
        (progress,) = durations.artifacts(f"disk-{moved.machine}-{disk.disk_id}")[:1]
        assert progress["data"] == 100.0
        assert "sent" in progress["description"]
    (report,) = durations.artifacts(f"transfer-{moved.machine}")[:1]
    assert "Full transfer" in report["data"]


def test_everything_that_was_sent_was_proven(moved: TransferReport) -> None:
    for disk in moved.disks:
        assert disk.verified == disk.sent + disk.zeroed > 0


def test_the_migrated_machine_boots_and_its_agent_answers(deployed: DeployReport) -> None:
    assert deployed.proof is not None
    print(
        f"\ndeployed in {human_duration(deployed.seconds)}, of which boot"
        f" {human_duration(deployed.proof.seconds)}"
    )
    for morph in deployed.steps:
        print(f"  {morph.step}: {morph.outcome.summary} ({human_duration(morph.seconds)})")
    assert deployed.proof.evidence is BootEvidence.AGENT
    assert {"cloud-init", "qemu-guest-agent", "initramfs", "dhcp"} <= {
        step.step for step in deployed.steps if step.outcome.changed
    }
    assert "/ was in use when it was copied; its journal is replayed" in deployed.shortfalls
    assert not any("without its journal" in said for said in deployed.shortfalls)


def test_the_ui_shows_every_step(deployed: DeployReport) -> None:
    durations.show(f"deploy-{deployed.machine}")
    shown = [name for name, _ in durations.of_last_run(f"deploy-{deployed.machine}")]
    assert [f"morph-{step.step}" for step in deployed.steps] == [
        name for name in shown if name.startswith("morph-")
    ]
    (report,) = durations.artifacts(f"deploy-{deployed.machine}")[:1]
    assert "guest agent" in report["data"]


def test_a_guest_with_an_agent_is_frozen_for_its_snapshot(
    deployed: DeployReport, the_lab: Lab
) -> None:
    """The migrated machine has an agent now: read from where it is, it is frozen and thawed."""
    source = LibvirtSource(site.access(the_lab.destination))
    machine = source.inspect(deployed.domain)
    run = Run(id=new_run_id(), transfer="", begun=datetime.now(UTC))
    with source.snapshot(machine, run, track=False) as frozen:
        assert frozen.consistency == FROZEN
        for disk in machine.disks:
            extents = list(frozen.extents(disk))
            assert sum(extent.length for extent in extents) == disk.capacity
        thawed = lab.run(
            the_lab.destination,
            ["virsh", "qemu-agent-command", deployed.domain, '{"execute":"guest-fsfreeze-status"}'],
        )
        assert "thawed" in thawed.stdout


def test_it_has_an_address_from_dhcp_and_its_files(deployed: DeployReport) -> None:
    assert deployed.proof is not None
    address = deployed.proof.addresses[0]
    assert address.startswith("198.18.20.")
    for line in evidence(address):
        print(f"\n{line}", end="")


def test_the_original_still_runs(deployed: DeployReport) -> None:
    assert demo_machine.answers()


def test_the_domain_is_the_sources_with_the_options_applied(
    deployed: DeployReport, the_lab: Lab
) -> None:
    xml = lab.run(the_lab.destination, ["virsh", "dumpxml", deployed.domain]).stdout
    for expected in (
        "52:54:00:de:30:01",
        "<target dev='vda' bus='virtio'/>",
        "<target dev='vdb' bus='virtio'/>",
        "tpm-crb",
        "org.qemu.guest_agent.0",
        "<rng model='virtio'>",
        "/var/log/libvirt/qemu/demo",
    ):
        assert expected in xml
    assert any("host-passthrough" in line for line in deployed.shortfalls) is not the_lab.kvm
    assert any("invtsc" in line for line in deployed.shortfalls)


def test_a_second_machine_of_that_name_is_refused_before_anything_is_made(
    tradewind: Tradewind, deployed: DeployReport, the_lab: Lab
) -> None:
    before = hosts.traces(the_lab.destination)
    ended = tradewind.run(
        "deploy", deployed.machine, "--from", site.SOURCE, "--to", site.DESTINATION
    )
    assert ended.status == 2
    assert "there is a machine “demo”" in ended.stderr
    assert hosts.traces(the_lab.destination) == before


@pytest.mark.slow
def test_a_replica_is_brought_up_to_date_by_sending_what_changed(
    tradewind: Tradewind, moved: TransferReport, deployed: DeployReport
) -> None:
    again = tradewind.transfer(moved.machine)
    print(f"\nthe running machine again: {human_size(again.sent)} had changed")
    assert not again.full
    assert again.sent < moved.sent / 5
    assert all(each.since for each in again.tracking)
    assert sum(disk.read for disk in again.disks) < 600 * MiB
