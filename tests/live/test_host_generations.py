# SPDX-License-Identifier: Apache-2.0
"""Hosts of other generations than this machine's: Debian 13 both ways, Debian 11 as a source."""

import subprocess
from collections.abc import Iterator

import pytest

import lab
from lab import namespaces, records, site
from lab.records import Lab, LabHost
from tests.live import hosts, running
from tests.live.faults import tiny
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.model.report import TransferReport
from tradewind.units import MiB

pytestmark = pytest.mark.live

NEW = "lab-trixie"
OLD = "lab-bullseye"
HOW = {"skip_os_morphing": True, "boot_timeout": 120}


@pytest.fixture(scope="module")
def trixie(the_lab: Lab) -> LabHost:
    """Debian 13, as a source and as a destination."""
    return joined(records.TRIXIE, NEW)


@pytest.fixture(scope="module")
def bullseye(the_lab: Lab) -> LabHost:
    """Debian 11, as a source."""
    return joined(records.BULLSEYE, OLD, stage=False)


def joined(plan: records.HostPlan, name: str, *, stage: bool = True) -> LabHost:
    host = lab.join(plan)
    lab.wipe(host)
    site.store_endpoint(name, host)
    if stage:
        site.stage_worker_image(name)
    print(lab.run(host, ["virsh", "version"]).stdout)
    return host


@pytest.fixture
def aged(the_lab: Lab, trixie: LabHost) -> Iterator[Running]:
    """A machine of the old host, which shows a login prompt."""
    machine = tiny.make(the_lab.source, "aged")
    tiny.start(machine)
    yield machine
    end(machine, the_lab.source, trixie)


@pytest.fixture
def young(the_lab: Lab, trixie: LabHost) -> Iterator[Running]:
    """The same on the new one."""
    machine = tiny.make(trixie, "young")
    tiny.start(machine)
    yield machine
    end(machine, trixie, the_lab.destination)


def end(machine: Running, *places: LabHost) -> None:
    for host in places:
        hosts.end_machines(host, machine.name)


def deploy(machine: Running, source: str, destination: str, **more: object) -> None:
    from flows.deploy import deploy as flow  # noqa: PLC0415 - Prefect reads its settings at import
    from tradewind.model.requests import DeployRequest  # noqa: PLC0415

    names = {"machine": machine.name, "source": source, "destination": destination}
    flow(DeployRequest.model_validate({**names, **HOW, **more}))


def move(machine: Running, source: str, destination: str) -> None:
    from flows.migrate import migrate  # noqa: PLC0415 - as above
    from tradewind.model.migrate import MigrateRequest  # noqa: PLC0415

    names = {"machine": machine.name, "source": source, "destination": destination}
    order = {"transfer": names, "deploy_options": {**HOW, "clone_disks": False}, "go": "nothing"}
    migrate(MigrateRequest.model_validate(order))


def state(host: LabHost, name: str) -> str:
    return lab.run(host, ["virsh", "domstate", name]).stdout.strip()


def assert_equal(machine: Running, report: TransferReport, there: LabHost) -> None:
    for target, planned in zip(
        machine.disks, (*report.plan.create, *report.plan.keep), strict=True
    ):
        running.assert_same(machine, hosts.volume_file(there, planned.volume.name), target)


def replicate(machine: Running, source: str, destination: str, there: LabHost) -> None:
    """Replicate twice: everything, then what was written, zeroed and discarded since."""
    first = machine.transfer(source=source, destination=destination)
    assert first.full
    update(machine, source, destination, there)


def update(machine: Running, source: str, destination: str, there: LabHost) -> None:
    machine.io("vdb", "write -P 7 4M 128k", "write -z 1M 64k", "discard 2M 64k")
    second = machine.transfer(source=source, destination=destination)
    assert not second.full
    assert 0 < second.sent < MiB
    assert_equal(machine, second, there)


def test_a_machine_of_an_old_host_comes_up_on_a_new_one(aged: Running, trixie: LabHost) -> None:
    replicate(aged, site.SOURCE, NEW, trixie)
    deploy(aged, site.SOURCE, NEW)
    assert state(trixie, aged.name) == "running"


def test_a_machine_of_a_new_host_comes_up_on_an_old_one(the_lab: Lab, young: Running) -> None:
    replicate(young, NEW, site.DESTINATION, the_lab.destination)
    deploy(young, NEW, site.DESTINATION)
    assert state(the_lab.destination, young.name) == "running"


@pytest.mark.slow
def test_both_ways_are_rehearsed_and_moved(
    the_lab: Lab, aged: Running, young: Running, trixie: LabHost
) -> None:
    ways = (
        (aged, site.SOURCE, NEW, the_lab.source, trixie),
        (young, NEW, site.DESTINATION, trixie, the_lab.destination),
    )
    for machine, source, destination, here, there in ways:
        machine.transfer(source=source, destination=destination)
        before = hosts.traces(there)
        deploy(machine, source, destination, rehearse=True, rehearsal_subnet="198.18.231.0/24")
        assert hosts.traces(there) == before
        move(machine, source, destination)
        assert state(here, machine.name) == "shut off"
        assert state(there, machine.name) == "running"


@pytest.mark.slow
def test_what_a_killed_run_left_is_swept_from_a_new_host(
    the_lab: Lab, aged: Running, trixie: LabHost
) -> None:
    before = hosts.traces(trixie), hosts.traces(the_lab.source)
    words = ("transfer", "run", aged.name, "--from", site.SOURCE, "--to", NEW, "--json")
    with Tradewind().start(*words) as process:
        wait_for_line(process, f"mark-written-{aged.name}", 300)
        process.kill()
        process.communicate()
    ended = Tradewind().run("sweep", NEW, site.SOURCE)
    assert ended.status == 0, ended.stderr[-2000:]
    after = hosts.traces(trixie)
    after["volumes"] = [name for name in after["volumes"] if not name.startswith(aged.name)]
    assert (after, hosts.traces(the_lab.source)) == before


@pytest.mark.slow
def test_a_debian_11_host_is_a_source(the_lab: Lab, bullseye: LabHost) -> None:
    """Its libvirt backs up what opted in, or is off; what runs and did not is refused before."""
    machine = tiny.make(bullseye, "ancient")
    try:
        off = machine.transfer(source=OLD)
        for target, planned in zip(machine.disks, off.plan.create, strict=True):
            there = hosts.volume_file(the_lab.destination, planned.volume.name)
            hosts.assert_same_contents(machine.image(target), there)
        tiny.start(machine)
        words = ("preflight", machine.name, "--from", OLD, "--to", site.DESTINATION, "--json")
        said = Tradewind().run(*words)
        assert said.status != 0
        assert "incremental-backup" in said.stdout
        opt_in(machine)
        machine.transfer(source=OLD)
        update(machine, OLD, site.DESTINATION, the_lab.destination)
    finally:
        end(machine, bullseye, the_lab.destination)


def opt_in(machine: Running) -> None:
    """Start the machine anew, as the finding says: with the capability that backups need."""
    machine.stop()
    document = machine.virsh("dumpxml", machine.name, "--inactive")
    asked = (
        "<qemu:capabilities xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:add capability='incremental-backup'/></qemu:capabilities></domain>"
    )
    changed = document.replace("</domain>", asked)
    plan = records.BULLSEYE
    argv = namespaces.enter(plan, ["virsh", "define", "/dev/stdin"])
    subprocess.run(argv, input=changed, text=True, check=True, capture_output=True)
    tiny.start(machine)
