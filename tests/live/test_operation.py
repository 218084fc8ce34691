# SPDX-License-Identifier: Apache-2.0
"""What an operator relies on: setup, API, password, schedules, restarts, crashes; without hosts."""

import json
import subprocess
import time
from typing import Any

import pytest

from tests.live.controller import ROOT, Controller, kill, wait_for

pytestmark = pytest.mark.live

EXAMPLE = str(ROOT / "deployments" / "examples" / "start_transfer.py")
REQUEST = {"machine": "web", "source": "old", "destination": "new"}
ENDS = ("--from", "old", "--to", "new")


def run_example(controller: Controller, *words: str) -> "subprocess.CompletedProcess[str]":
    return controller.run("python", EXAMPLE, *words)


def test_setup_is_refused_without_the_password(controller: Controller) -> None:
    refused = controller.run("tradewind", "setup", auth=False)
    assert refused.returncode == 1
    assert "set PREFECT_API_AUTH_STRING to the server's" in refused.stderr
    assert controller.auth not in refused.stderr


def test_setup_leaves_what_it_made(controller: Controller) -> None:
    """The fixture has set up once."""
    again = json.loads(controller.tradewind("setup", "--json"))
    assert {each["what"] for each in again["installed"]} == {"left"}
    kinds = {each["kind"] for each in again["installed"]}
    assert kinds == {"block type", "work pool", "deployment", "automation"}
    # The shipped settings are those that the shipped check asks for; a worker is not there yet.
    advised = [each["what"] for each in again["advice"]]
    assert [what for what in advised if not what.startswith("No worker runs")] == []


def test_scheduled_runs_really_appear(controller: Controller) -> None:
    """With some versions of Prefect's dependencies a healthy-looking server never makes any."""

    def planned() -> list[Any]:
        return [run for run in controller.runs("sweep") if run["state_type"] == "SCHEDULED"]

    wait_for(lambda: len(planned()) > 1, "the sweep is scheduled", 120)
    assert {run["auto_scheduled"] for run in planned()} == {True}


def test_example_starts_a_run_once(controller: Controller) -> None:
    first = run_example(controller, "web", *ENDS, "--key", "once", "--no-wait")
    assert first.returncode == 0, first.stderr
    again = run_example(controller, "web", *ENDS, "--key", "once", "--no-wait")
    assert again.stdout == first.stdout
    asked = controller.call("GET", f"/flow_runs/{first.stdout.strip()}")
    assert asked["parameters"]["request"] == REQUEST
    controller.call("DELETE", f"/flow_runs/{asked['id']}")


def test_same_key_is_the_same_run(controller: Controller) -> None:
    deployment = controller.call("GET", "/deployments/name/transfer/transfer")["id"]
    path = f"/deployments/{deployment}/create_flow_run"
    body = {"parameters": {"request": REQUEST}, "idempotency_key": "twice"}
    first, again = controller.ask("POST", path, body), controller.ask("POST", path, body)
    assert (first[0], again[0]) == (201, 200)
    assert first[1]["id"] == again[1]["id"]
    controller.call("DELETE", f"/flow_runs/{first[1]['id']}")


def test_bad_parameters_are_refused_in_words(controller: Controller) -> None:
    deployment = controller.call("GET", "/deployments/name/transfer/transfer")["id"]
    path = f"/deployments/{deployment}/create_flow_run"
    before = len(controller.runs("transfer"))
    for request, words in (
        ({"machine": "web", "source": "old"}, "'destination' is a required property"),
        ({**REQUEST, "target": "new"}, "'target' was unexpected"),
        ({**REQUEST, "lag_warning": "soon"}, "'soon' is not valid"),
    ):
        status, answer = controller.ask("POST", path, {"parameters": {"request": request}})
        assert (status, words in str(answer)) == (409, True), answer
    assert len(controller.runs("transfer")) == before


def test_example_says_what_the_server_objects_to(controller: Controller) -> None:
    refused = run_example(controller, "", *ENDS)
    assert refused.returncode == 2
    assert refused.stderr.startswith("409: ")
    assert "non-empty" in refused.stderr or "too short" in refused.stderr


@pytest.fixture
def nap(controller: Controller) -> None:
    """A flow that takes its time, deployed like ours."""
    flow = controller.call("POST", "/flows/", {"name": "nap"})["id"]
    like = controller.call("GET", "/deployments/name/transfer/transfer")
    controller.call(
        "POST",
        "/deployments/",
        {
            "name": "nap",
            "flow_id": flow,
            "entrypoint": "tests/live/napping.py:nap",
            "pull_steps": like["pull_steps"],
            "work_pool_name": "tradewind",
            "job_variables": like["job_variables"],
            "tags": like["tags"],
            "concurrency_limit": 4,
            "concurrency_options": {"collision_strategy": "ENQUEUE"},
        },
    )


def let_zombies_be_found_within(controller: Controller, seconds: int) -> None:
    (zombie,) = controller.call(
        "POST", "/automations/filter", {"automations": {"name": {"any_": ["tradewind-zombie"]}}}
    )
    said = {key: zombie[key] for key in ("name", "description", "actions", "trigger")}
    said["trigger"]["within"] = seconds
    controller.call("PUT", f"/automations/{zombie['id']}", said)


def run_until_it_runs(controller: Controller, rests: int) -> str:
    run = controller.start_run("nap/nap", {"rests": rests})
    wait_for(lambda: controller.state(run) == "Running", "it runs", 60)
    return run


def sweeps_after_crashes(controller: Controller) -> list[Any]:
    return [run for run in controller.runs("sweep") if not run["auto_scheduled"]]


@pytest.mark.slow  # it waits for a zombie to be found, and for leases to be renewed
def test_death_of_a_machine_and_restart_of_the_server(controller: Controller, nap: None) -> None:
    """One of two machines loses its power; later the server is away for minutes.

    In this order: an event that follows one from before a restart is held back for minutes.
    """
    let_zombies_be_found_within(controller, 75)
    with controller.worker("doomed") as deletion:
        lost = run_until_it_runs(controller, 60)
        time.sleep(3)  # its first heartbeat is sent when it begins
        kill(deletion)
    killed = time.monotonic()
    with controller.worker("steady"):
        healthy = run_until_it_runs(controller, 22)
        wait_for(lambda: controller.state(lost) == "Crashed", "the zombie is found", 150)
        print(f"\nfound to be dead {time.monotonic() - killed:.0f} s after its death")
        wait_for(lambda: sweeps_after_crashes(controller), "a sweep follows", 30)
        let_zombies_be_found_within(controller, 600)
        assert controller.state(healthy) == "Running"
        controller.stop()
        time.sleep(150)  # more than the minute after which Prefect gives up by itself
        controller.start()
        # It changed its state while the server was away, and its lease has been renewed since.
        # It asks again after 2, 4, 8 ... seconds.
        wait_for(lambda: controller.state(healthy) == "Completed", "it completes", 300)
        drained = controller.run("tradewind", "drain", "--timeout", "2")
        assert drained.returncode == 0, drained.stdout + drained.stderr
        assert "nothing runs" in drained.stdout
        controller.tradewind("resume")
