# SPDX-License-Identifier: Apache-2.0
"""A group of machines of which one fails; a schedule whose worker is away for a while."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import prefect_server, site
from lab.records import Lab
from tests.live import hosts
from tests.live.tradewind_command import Tradewind
from tradewind.model.groups import GroupReport

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
ENDS = ("--from", site.SOURCE, "--to", site.DESTINATION)
SCHEDULE = f"crowd-a-from-{site.SOURCE}-to-{site.DESTINATION}"
REFUSED = "Deployment concurrency limit reached"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "crowd.qcow2"
    hosts.make_qcow2(path, data_mib=8, size="1G")
    return path


@pytest.fixture(scope="module")
def crowd(the_lab: Lab, image: Path) -> None:
    """Three machines that are shut off; two bear a tag, and one of those has lost its disk."""
    for name in ("crowd-a", "crowd-b", "crowd-c"):
        hosts.define_shut_off(the_lab.source, name, image)
    for name in ("crowd-b", "crowd-c"):
        # As docs/howto/groups-of-machines.md says it.
        place = ["--uri", "urn:tradewind:tags:1", "--key", "tradewind", "--config"]
        lab.run(the_lab.source, ["virsh", "metadata", name, *place, "--set", "<tag>crowd</tag>"])
    hosts.volume_file(the_lab.source, "crowd-c.qcow2").unlink()


def prefect(*words: str) -> None:
    environment = {**os.environ, **prefect_server.client_settings()}
    subprocess.run([PREFECT, *words], env=environment, check=True, capture_output=True)


@pytest.mark.slow
def test_machine_that_fails_stops_no_other(
    tradewind: Tradewind, the_lab: Lab, crowd: None, image: Path
) -> None:
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    ended = tradewind.run("replicate", *ENDS, "--name", "crowd-a", "--tag", "crowd", "--json")
    assert ended.status == 1, ended.stderr[-4000:]
    assert "2 of 3 machines are up to date; not crowd-c (failed)" in ended.stderr
    report = GroupReport.model_validate_json(ended.stdout)
    print(f"\n{report.headline()} after {report.seconds:.0f} s")
    *good, bad = report.outcomes
    assert [each.machine for each in report.outcomes] == ["crowd-a", "crowd-b", "crowd-c"]
    assert all(8 << 20 <= (each.sent or 0) < 9 << 20 for each in good)
    assert all(each.consistent for each in good)
    assert "crowd-c" in bad.problem
    assert (bad.sent, bad.consistent) == (None, None)
    after = hosts.traces(the_lab.destination)
    made = [name for name in after["volumes"] if name not in clean["destination"]["volumes"]]
    assert len(made) == 2
    for name in made:
        hosts.assert_same_contents(image, hosts.volume_file(the_lab.destination, name))
    assert hosts.traces(the_lab.source) == clean["source"]
    shown = tradewind.run("status")
    assert shown.status == 0, shown.stderr
    print(shown.stdout)
    assert "crowd-b" in shown.stdout


@pytest.fixture
def worker(the_lab: Lab) -> Iterator[None]:
    """A real worker, which finds the checkout as an operator's does."""
    with contextlib.suppress(subprocess.CalledProcessError):  # there is one already
        prefect("work-pool", "create", "tradewind", "--type", "process")
    with subprocess.Popen(
        [PREFECT, "worker", "start", "--pool", "tradewind"],
        env={**os.environ, **prefect_server.client_settings(), "TRADEWIND_HOME": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield
        process.kill()


def runs() -> list[Any]:
    """List the schedule's flow runs that have come due, in their order."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - after connect_prefect
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        DeploymentFilter,
        DeploymentFilterName,
    )
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[SCHEDULE])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
    return [run for run in found if run.state_name != "Scheduled"]


def wait_until(condition: Callable[[list[Any]], bool], timeout: float) -> list[Any]:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = runs()
        if condition(found):
            return found
        time.sleep(2)
    raise AssertionError([(run.state_name, run.state.message) for run in runs()])


def named(found: Sequence[Any], *states: str) -> list[Any]:
    return [run for run in found if run.state_name in states]


def waiting(found: Sequence[Any], among: set[Any]) -> list[Any]:
    """Those of some runs that have not begun and may still."""
    states = {"SCHEDULED", "PENDING"}
    return [run for run in found if run.id in among and run.state_type.value in states]


def refused(found: Sequence[Any]) -> list[Any]:
    return [run for run in found if REFUSED in (run.state.message or "")]


def has_rested(found: Sequence[Any]) -> bool:
    return bool(named(found, "Completed")) and not named(found, "Running")


@pytest.fixture
def schedule(tradewind: Tradewind, crowd: None, worker: None) -> Iterator[None]:
    """A schedule that comes due far more often than its transfer takes."""
    added = tradewind.run("transfer", "create", "crowd-a", *ENDS, "--every", "15s")
    assert added.status == 0, added.stderr
    yield
    assert tradewind.run("schedule", "pause", SCHEDULE).status == 0
    for run in named(runs(), "Running"):
        prefect("flow-run", "cancel", str(run.id))
    wait_until(lambda found: not named(found, "Running", "Cancelling"), 90)
    assert tradewind.run("schedule", "remove", SCHEDULE).status == 0
    assert "crowd-a" in tradewind.run("transfer", "list").stdout


def test_overlap_is_refused_and_missed_runs_do_not_pile_up(schedule: None) -> None:
    wait_until(lambda found: bool(named(found, "Running")), 90)
    during = wait_until(lambda found: bool(refused(found)), 90)
    assert len(named(during, "Running", "Completed")) == 1
    # What an operator does before a worker is stopped.
    prefect("work-pool", "pause", "tradewind")
    wait_until(has_rested, 300)
    away = wait_until(lambda found: len(named(found, "Late")) >= 2, 120)
    prefect("work-pool", "resume", "tradewind")
    late = {run.id for run in named(away, "Late")}
    # The one that runs may have come due since: then all of the late ones are refused.
    back = wait_until(lambda found: not waiting(found, late) and bool(named(found, "Running")), 90)
    print(f"\nafter the pause: {[run.state_name for run in back if run.id in late]}")
    assert len(named(back, "Running")) == 1
    missed = [run for run in back if run.id in late and run.state_name != "Running"]
    assert {run.state_type.value for run in missed} == {"CANCELLED"}
    assert len(missed) >= len(late) - 1
