# SPDX-License-Identifier: Apache-2.0
"""A replica that becomes the machine itself: as it was when a step fails, used up when all is well.

The operator's own scripts run here too, at each of their three moments.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import lab
from lab import linux_guests, machines, site
from lab.records import Lab
from tests.live import hosts
from tests.live.tradewind_command import Tradewind
from tradewind.model.proof import BootEvidence
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.scripts import ScriptPhase
from tradewind.remote import shell
from tradewind.units import human_duration

# Two deployments with every step: `make test-all`.
pytestmark = [pytest.mark.live, pytest.mark.slow]

GUEST = replace(
    linux_guests.BTRFS.machine,
    name="in-place",
    uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c21",
    macs=("52:54:00:de:36:01",),
)
SCRIPTS = {
    "before-mount": 'test -b "${TRADEWIND_DISKS%% *}" && echo "disks: $TRADEWIND_DISKS"',
    "after-mount": 'echo "adapted: $TRADEWIND_OS $TRADEWIND_OS_VERSION" | tee /etc/adapted',
    "first-boot": 'systemctl is-system-running; echo "booted: $(cat /etc/adapted)"',
}
FAILING = "rm -f /etc/hostname; touch /etc/half-made; echo no licence for this host; exit 7"


@pytest.fixture(scope="module")
def replica(the_lab: Lab, tradewind: Tradewind) -> Iterator[TransferReport]:
    """The guest's replica; the guest is shut off on the source."""
    machines.install(GUEST, the_lab.source, kvm=the_lab.kvm)
    yield tradewind.transfer(GUEST.name)
    for host in (the_lab.source, the_lab.destination):
        machines.remove(GUEST, host)


def volumes(report: TransferReport) -> list[str]:
    plan = report.plan
    return [each.volume.name for each in (*plan.create, *plan.keep, *plan.grow)]


def digests(the_lab: Lab, names: list[str]) -> list[str]:
    files = [hosts.volume_file(the_lab.destination, name) for name in names]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def written(folder: Path, phase: str, text: str) -> str:
    """Leave a script in a file; the words that ask for it."""
    file = folder / f"{phase}.sh"
    file.write_text(f"#!/bin/sh\n{text}\n")
    return f"{phase}={file}"


def test_step_that_fails_leaves_the_replica_as_it_was(
    the_lab: Lab, tradewind: Tradewind, replica: TransferReport, tmp_path: Path
) -> None:
    """The script fails when our own steps have all succeeded, and it has done harm by then."""
    before = digests(the_lab, volumes(replica)), hosts.traces(the_lab.destination)
    ended = tradewind.run(
        *("deploy", GUEST.name, "--from", site.SOURCE, "--to", site.DESTINATION),
        *("--no-clone", "--script", written(tmp_path, "after-mount", FAILING)),
    )
    assert ended.status == 1, ended.stderr[-4000:]
    assert "no licence for this host" in ended.stderr
    assert (digests(the_lab, volumes(replica)), hosts.traces(the_lab.destination)) == before
    again = tradewind.transfer(GUEST.name)
    assert (again.sent, again.full) == (0, False)


@pytest.fixture(scope="module")
def deployed(
    tradewind: Tradewind, replica: TransferReport, tmp_path_factory: pytest.TempPathFactory
) -> DeployReport:
    folder = tmp_path_factory.mktemp("scripts")
    asked = [written(folder, phase, text) for phase, text in SCRIPTS.items()]
    words = [word for script in asked for word in ("--script", script)]
    report = tradewind.deploy(GUEST.name, "--no-clone", *words)
    print(f"\ndeployed without a clone in {human_duration(report.seconds)}")
    return report


def test_machine_has_the_replicas_own_volumes(
    the_lab: Lab, deployed: DeployReport, replica: TransferReport
) -> None:
    assert deployed.proof is not None
    assert deployed.proof.evidence is BootEvidence.AGENT
    assert not deployed.cloned
    xml = lab.run(the_lab.destination, ["virsh", "dumpxml", GUEST.name]).stdout
    for name in volumes(replica):
        assert f"/{name}'" in xml
    assert not [name for name in hosts.traces(the_lab.destination)["volumes"] if "overlay" in name]


def test_scripts_ran_at_each_of_their_moments(deployed: DeployReport) -> None:
    assert deployed.proof is not None
    told = {each.phase: each.output for each in (*deployed.scripts, *deployed.proof.first_boot)}
    print(f"\n{told}")
    assert "disks: /dev/disk/by-id/virtio-" in told[ScriptPhase.BEFORE_MOUNT]
    assert "adapted: debian 12" in told[ScriptPhase.AFTER_MOUNT]
    assert "booted: adapted: debian 12" in told[ScriptPhase.FIRST_BOOT]
    with shell.connect_to_host(machines.access(deployed.proof.addresses[0])) as inside:
        assert inside.run(["cat", "/etc/adapted"]).stdout == "adapted: debian 12\n"
        left = inside.run(["sh", "-c", "ls /usr/local/sbin /etc/systemd/system"]).stdout
    assert "tradewind-first-boot" not in left


def test_next_transfer_makes_a_new_replica(
    the_lab: Lab, tradewind: Tradewind, replica: TransferReport, deployed: DeployReport
) -> None:
    again = tradewind.transfer(GUEST.name)
    assert again.full
    assert not set(volumes(again)) & set(volumes(replica))
    assert any("is left alone" in note for note in again.plan.notes)
    state = lab.run(the_lab.destination, ["virsh", "domstate", GUEST.name]).stdout
    assert "running" in state
