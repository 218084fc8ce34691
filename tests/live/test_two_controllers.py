# SPDX-License-Identifier: Apache-2.0
"""Two machines run flows from one pool; Prefect and the ledger are on one PostgreSQL."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import site
from lab.records import Lab
from tests.live import hosts
from tests.live.controller import ROOT, Controller, children, wait_for
from tradewind.units import human_size

pytestmark = pytest.mark.live

MACHINES = ("pair-a", "pair-b")
TESTS = "test_replicas or test_runs or test_replica_states or lead_to_the_tables or newest"


def test_ledger_keeps_its_promises_on_postgresql(controller: Controller) -> None:
    """The ledger's own tests, migrations included, on an empty database of this server."""
    controller.database.create("ledger-tests")
    environment = {
        **os.environ,
        "TRADEWIND_TEST_LEDGER": controller.database.url("psycopg", "ledger-tests"),
        "PGPASSFILE": str(controller.database.password_file),
    }
    chosen = ["-m", "pytest", "-q", "tests/unit/ledger", "-k", f"{TESTS} or at_once"]
    done = subprocess.run(
        [sys.executable, *chosen],
        env=environment,
        cwd=ROOT,
        text=True,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    print(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "pair.qcow2"
    hosts.make_qcow2(path, data_mib=8, size="1G")
    return path


@pytest.fixture(scope="module")
def ready(controller: Controller, the_lab: Lab, image: Path) -> None:
    """Endpoints and options are stored; two machines that are shut off."""
    controller.store_site(the_lab)
    for name in MACHINES:
        hosts.define_shut_off(the_lab.source, name, image)


def start(controller: Controller, machine: str) -> str:
    ends = {"source": site.SOURCE, "destination": site.DESTINATION}
    return controller.start_run("transfer/transfer", {"request": {"machine": machine, **ends}})


def is_over(controller: Controller, run: str) -> bool:
    return controller.state(run) in {"Completed", "Failed", "Crashed", "Cancelled"}


def owners(controller: Controller) -> list[tuple[str, str]]:
    """Say of each run of these machines on which machine it was begun, and its state.

    Other tests have runs in the same ledger.
    """
    printed = controller.database.sql(
        "SELECT owner, state FROM run JOIN transfer ON transfer.id = run.transfer_id"
        " WHERE machine_name LIKE 'pair-%' ORDER BY begun",
        "ledger",
    )
    rows = [line.rpartition("|") for line in printed.splitlines()]
    return [(json.loads(owner)["host"], state) for owner, _, state in rows]


def told(controller: Controller, runs: list[str]) -> tuple[str, ...]:
    """Name the machines of these runs whose end the server knows as an event, once both are."""
    named = {"event": {"name": ["tradewind.transfer.completed"]}}
    events = controller.call("POST", "/events/filter", {"filter": named})["events"]
    ours = [event for event in events if event["payload"]["flow_run"] in runs]
    machines = sorted(event["resource"]["tradewind.machine"] for event in ours)
    return tuple(machines) if len(machines) >= len(runs) else ()


def cpu_seconds(pid: int) -> float:
    """Add up what a process and its ended children have taken of the processor: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def database_size(controller: Controller) -> int:
    return int(controller.database.sql("SELECT pg_database_size('prefect')"))


def _memory(pid: int) -> str:
    """Say how much memory a process has: proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return human_size(int(line.split()[1]) * 1024)


def test_two_machines_share_the_work(
    controller: Controller, the_lab: Lab, ready: None, image: Path
) -> None:
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    with (
        controller.worker("controller-1", limit=1) as one,
        controller.worker("controller-2", limit=1) as two,
    ):
        before, size = cpu_seconds(one.pid) + cpu_seconds(two.pid), database_size(controller)
        runs = [start(controller, machine) for machine in MACHINES]
        wait_for(lambda: all(is_over(controller, run) for run in runs), "both end", 330)
        ends = [controller.call("GET", f"/flow_runs/{run}")["state"] for run in runs]
        assert [end["name"] for end in ends] == ["Completed", "Completed"], ends
        assert wait_for(lambda: told(controller, runs), "their ends are told", 60) == MACHINES
        spent = wait_for(lambda: _rested(one.pid, two.pid), "their processes end", 30) - before
        grown = (database_size(controller) - size) // 2
        print(f"\na transfer: {spent / 2:.1f} s of processor on the controller,", end=" ")
        print(f"{human_size(grown)} in Prefect's database; a worker: {_memory(one.pid)}")
        assert sorted(owners(controller)) == [
            ("controller-1", "completed"),
            ("controller-2", "completed"),
        ]
        after = hosts.traces(the_lab.destination)
        replicas = [name for name in after["volumes"] if name.startswith("pair-")]
        assert len(replicas) == 2
        for name in replicas:
            hosts.assert_same_contents(image, hosts.volume_file(the_lab.destination, name))
        after["volumes"] = [name for name in after["volumes"] if name not in replicas]
        assert after == clean["destination"]
        assert hosts.traces(the_lab.source) == clean["source"]


def _rested(*pids: int) -> float:
    """Return what workers have taken of the processor once no flow runs below them."""
    if any(children(pid) for pid in pids):
        return 0
    return sum(map(cpu_seconds, pids))
