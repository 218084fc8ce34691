# SPDX-License-Identifier: Apache-2.0
"""Moves: of a light machine, of a busy one that is adapted as well, and some that fail.

The busy one is a Debian with all that has to be done to it: a quarter of an hour under emulation,
so it runs with `make test-all`.
"""

import hashlib
from collections.abc import Iterator

import libvirt
import pytest

import lab
from lab import demo_machine, site
from lab.records import Lab
from tests.live import durations, hosts, light, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.errors import LateError
from tradewind.host.connection import connect
from tradewind.model.deploy_options import DeployOptions
from tradewind.model.migrate import Go, MigrateReport, MigrateRequest
from tradewind.model.proof import BootEvidence
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.remote import shell
from tradewind.units import MiB, human_duration, human_size
from tradewind.waiting import wait_for

pytestmark = pytest.mark.live

MOVED = "demo-moved"

# Files of random size and content, each durable with its checksum before the next one begins; old
# ones are overwritten and removed, so that blocks change, become free and are used again.
LOAD = """\
mkdir -p /srv/load && cd /srv/load
n=0
while true; do
  n=$((n + 1)); f=file-$((n % 24))
  rm -f $f.sum; sync
  head -c $((1 + (n * 7919) % 2097152)) /dev/urandom >$f; sync $f
  sha256sum $f >$f.new; sync $f.new; mv $f.new $f.sum; sync -f .
  [ $((n % 9)) -ne 0 ] || dd if=/dev/zero of=zeroes bs=64k count=20 2>/dev/null
done
"""
# What the light machine writes down: seconds since 1970, and durable before the next ones.
TICKED = "/root/ticked"
TICK = f"date +%s.%N >{TICKED}.new && sync {TICKED}.new && mv {TICKED}.new {TICKED}"
CHECK = "cd /srv/load && cat *.sum | sha256sum -c --quiet && ls *.sum | wc -l && sha256sum *.sum"
RECORDS = ["cat", "/srv/journal/records"]


@pytest.fixture(scope="module")
def moving(demo: str) -> str:
    """The demo machine on the source, under load."""
    wait_for(demo_machine.answers, "the demo machine answers", 400)
    with shell.connect_to_host(demo_machine.access()) as guest:
        guest.write("/root/load", LOAD.encode())
        guest.run(["systemd-run", "--unit=load", "sh", "/root/load"])
    return demo


@pytest.fixture(scope="module")
def rounds(tradewind: Tradewind, moving: str) -> list[TransferReport]:
    """Incremental executions while it writes; the first of all may be a full one."""
    tradewind.transfer(moving)
    return [tradewind.transfer(moving) for _ in range(5)]


@pytest.fixture(scope="module")
def move(tradewind: Tradewind, moving: str) -> MigrateReport:
    """The move, which asks before it shuts the machine down."""
    words = ("migrate", moving, "--from", site.SOURCE, "--to", site.DESTINATION, "--json")
    with tradewind.start(*words, "--name", MOVED) as process:
        wait_for_line(process, "waits for a decision", 300)
        answered = tradewind.run("answer", moving, "approve", "--operator", "Ada")
        assert answered.status == 0, answered.stderr[-2000:]
        stdout, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr[-4000:]
    return MigrateReport.model_validate_json(stdout)


@pytest.mark.slow
def test_each_round_reads_only_what_changed(rounds: list[TransferReport]) -> None:
    for report in rounds:
        print(
            f"\nround: {human_size(report.sent)} sent, {human_size(report.disks[0].read)} +"
            f" {human_size(report.disks[1].read)} read of"
            f" {human_size(sum(disk.capacity for disk in report.disks))} in"
            f" {human_duration(report.stream_seconds)}, {human_duration(report.seconds)} in all"
        )
        assert all(each.since for each in report.tracking)
        assert report.disks[1].sent > 0
        assert sum(disk.read for disk in report.disks) < 600 * MiB


@pytest.mark.slow
def test_outage_is_measured_and_split_into_its_parts(move: MigrateReport) -> None:
    print(f"\noutage: {human_duration(move.outage_seconds)}, shut down {move.shut_down.how}")
    for phase in move.outage:
        print(f"  {phase.name}: {human_duration(phase.seconds)}")
    assert len(move.outage) == 5
    assert all(phase.seconds >= 0 for phase in move.outage)
    assert move.go == "Ada approved"
    (report,) = durations.artifacts(f"migrate-{move.machine}")[:1]
    assert "The outage" in report["data"]


@pytest.mark.slow
def test_original_is_off_and_the_new_machine_runs(move: MigrateReport, the_lab: Lab) -> None:
    assert "shut off" in lab.run(the_lab.source, ["virsh", "domstate", move.machine]).stdout
    assert "running" in lab.run(the_lab.destination, ["virsh", "domstate", MOVED]).stdout


@pytest.mark.slow
def test_every_file_is_as_the_guest_wrote_it(move: MigrateReport) -> None:
    assert move.deployment.proof is not None
    with shell.connect_to_host(demo_machine.access(move.deployment.proof.addresses[0])) as guest:
        checked = guest.run(["sh", "-c", CHECK], timeout=300).stdout.splitlines()
        records = guest.run(RECORDS).stdout.splitlines()
    print(f"\n{checked[0]} files of the load have the checksums they were written with")
    assert int(checked[0]) > 10
    for number, line in enumerate(records):
        text, _, digest = line.rpartition(" ")
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        assert int(text.split()[0]) == number, "a record that was durable is missing"
    print(f"{len(records)} records follow each other without a gap, across the move")


@pytest.fixture
def ticking(the_lab: Lab) -> Iterator[libvirt.virDomain]:
    """A light machine that writes down each second what time it is."""
    light.start(the_lab.source)
    with connect(site.access(the_lab.source)) as connection:
        domain = connection.lookupByName(light.NAME)
        light.wait_until_ready(domain)
        light.sh(domain, f"systemd-run sh -c 'while sleep 1; do {TICK}; done'")
        yield domain
    for host in (the_lab.source, the_lab.destination):
        light.remove(host)


def test_machine_moves_with_what_it_wrote_last(the_lab: Lab, ticking: libvirt.virDomain) -> None:
    from flows.migrate import migrate  # noqa: PLC0415 - Prefect reads its settings at import

    names = {"machine": light.NAME, "source": site.SOURCE, "destination": site.DESTINATION}
    report = migrate(
        MigrateRequest(
            transfer=TransferRequest.model_validate(names),
            deploy_options=DeployOptions(
                skip_os_morphing=True, clone_disks=False, boot_timeout=light.BOOT_TIMEOUT
            ),
            go=Go.AT_ONCE,
            rounds=1,
        )
    )
    print(f"\noutage: {human_duration(report.outage_seconds)}, {report.shut_down.how}")
    for phase in report.outage:
        print(f"  {phase.name}: {human_duration(phase.seconds)}")
    assert report.deployment.proof is not None
    assert report.deployment.proof.evidence is BootEvidence.AGENT
    assert all(each.since for each in report.last.tracking)
    assert not ticking.isActive()
    with connect(site.access(the_lab.destination)) as connection:
        last = float(light.sh(connection.lookupByName(light.NAME), f"cat {TICKED}"))
    before = report.rounds[-1].moment
    assert before is not None
    print(
        f"it wrote for {last - before.timestamp():.0f} s after the last round; all of it is there"
    )
    assert last > before.timestamp(), "what it wrote before the shutdown did not arrive"


@pytest.fixture(scope="module")
def empty(the_lab: Lab) -> Running:
    """A machine that runs and has nothing to boot: it will never prove that it does."""
    machine = running.make(the_lab.source, "empty", {"vda": "64M"})
    machine.io("vda", "write -P 7 1M 1M")
    machine.virsh("resume", machine.name)  # a paused one would not be moved
    return machine


def request(machine: Running, **changes: object) -> MigrateRequest:
    names = {"machine": machine.name, "source": site.SOURCE, "destination": site.DESTINATION}
    plain: dict[str, object] = {
        "transfer": TransferRequest.model_validate(names),
        "deploy_options": DeployOptions(skip_os_morphing=True, boot_timeout=15),
        "go": Go.AT_ONCE,
        "rounds": 1,
        "shutdown_timeout": 5,
    }
    return MigrateRequest.model_validate({**plain, **changes})


def test_move_that_fails_starts_the_source_again(the_lab: Lab, empty: Running) -> None:
    from flows.migrate import migrate  # noqa: PLC0415 - Prefect reads its settings at import

    before = hosts.traces(the_lab.destination)
    with pytest.raises(LateError, match="proves that it booted") as caught:
        migrate(request(empty, force_off=True))
    assert f"empty runs on {site.SOURCE} again" in caught.value.__notes__
    assert "running" in empty.virsh("domstate", "empty")
    after = hosts.traces(the_lab.destination)
    after["volumes"] = [name for name in after["volumes"] if not name.startswith("empty-")]
    assert after == before
    (report,) = durations.artifacts("migrate-empty")[:1]
    assert "given up" in report["data"]
    assert "runs on lab-source again" in report["data"]


@pytest.mark.slow
def test_machine_that_does_not_shut_down_is_left_running(the_lab: Lab, empty: Running) -> None:
    from flows.migrate import migrate  # noqa: PLC0415

    with pytest.raises(LateError, match="did not shut down within 5 s"):
        migrate(request(empty))
    assert "running" in empty.virsh("domstate", "empty")
    assert len(empty.checkpoints()) == 1
