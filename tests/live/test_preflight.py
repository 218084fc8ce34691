# SPDX-License-Identifier: Apache-2.0
"""What `tradewind preflight` sees on real hosts, and that they are as they were afterwards."""

from collections.abc import Iterator

import pytest

from lab import site
from lab.records import Lab
from tests.live import hosts
from tests.live.tradewind_command import Ended, Tradewind
from tradewind.model.finding import Severity
from tradewind.model.preflight import Area, PreflightReport

pytestmark = pytest.mark.live

MACHINE = "looked-at"


@pytest.fixture(scope="module")
def machine(the_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    image = tmp_path_factory.mktemp("images") / f"{MACHINE}.qcow2"
    hosts.make_qcow2(image, data_mib=80, size="2G")
    hosts.define_shut_off(the_lab.source, MACHINE, image)
    yield MACHINE
    hosts.end_machines(the_lab.source, MACHINE)


@pytest.fixture
def untouched(the_lab: Lab, machine: str) -> Iterator[None]:
    before = [hosts.traces(host) for host in (the_lab.source, the_lab.destination)]
    yield
    assert [hosts.traces(host) for host in (the_lab.source, the_lab.destination)] == before


def look(tradewind: Tradewind, *more: str) -> tuple[Ended, PreflightReport]:
    ends = ("--from", site.SOURCE, "--to", site.DESTINATION)
    ended = tradewind.run("preflight", MACHINE, *ends, *more, "--json")
    assert ended.stdout, ended.stderr[-4000:]
    report = PreflightReport.model_validate_json(ended.stdout)
    for area, found in report.sorted_findings():
        print(f"\n{found.severity} of {area}: {found.what} ({found.evidence}) → {found.remedy}")
    return ended, report


@pytest.mark.usefixtures("untouched")
def test_a_machine_that_can_move_is_ready(tradewind: Tradewind, the_lab: Lab) -> None:
    ended, report = look(tradewind)
    assert (ended.status, report.ready, report.skipped) == (0, True, ())
    assert [seen.area for seen in report.areas] == list(Area)
    slow = [
        found.evidence
        for area, found in report.sorted_findings()
        if area is Area.DESTINATION and "emulated" in found.what
    ]
    assert slow == ([] if the_lab.kvm else ["virsh capabilities: no domain type kvm"])


@pytest.mark.usefixtures("untouched")
def test_all_that_is_wrong_is_said_at_once(tradewind: Tradewind) -> None:
    wrong = ("default_storage_pool=tiny", "migr_worker_network=nowhere")
    stored = tradewind.run("options", "set", "--name", "wrong", *wrong)
    assert stored.status == 0, stored.stderr[-2000:]
    ended, report = look(tradewind, "--options", "wrong", "--hardware", "machine_type=pc-none-1")
    assert (ended.status, report.ready) == (2, False)
    errors = [
        (area, found)
        for area, found in report.sorted_findings()
        if found.severity is Severity.ERROR
    ]
    assert {area for area, _ in errors} == {Area.WORKER, Area.REPLICA, Area.NEW_MACHINE}
    said = " ".join(found.what for _, found in errors)
    for name in ("migr_image_map", "nowhere", "tiny", "pc-none-1"):
        assert name in said
    shown = " ".join(found.evidence for _, found in errors)
    for words in ("migr_image_map in", "net-list --all", "pool-info tiny", "virsh capabilities"):
        assert words in shown
