# SPDX-License-Identifier: Apache-2.0
"""prefect.yaml, without a server: its flows exist, and its parameters are what they take."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel
from prefect.deployments.steps.utility import run_shell_script
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from prefect.utilities.templating import apply_values
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(ROOT / "prefect.yaml")
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in DOCUMENT["deployments"]}

MACHINE = {"machine": "web", "source": "old", "destination": "new"}
GROUP = {"machines": {"tags": ["nightly"]}, "source": "old", "destination": "new"}
# What a caller sends, as little of it as possible; and what must not get through.
ENOUGH: dict[str, dict[str, Any]] = {
    "transfer": {"request": MACHINE},
    "replicate": {"request": GROUP},
    "replicate-nightly": {},
    "deploy": {"request": MACHINE},
    "migrate": {"request": {"transfer": MACHINE}},
    "resume-move": {"request": MACHINE},
    "roll-back-move": {"request": MACHINE},
    "preflight": {"request": {"transfer": MACHINE}},
    "delete-replica": {"request": MACHINE},
    "stage-worker-image": {"endpoint": "new", "pool": "images", "image": "worker.qcow2"},
    "sweep": {"endpoints": ["old", "new"]},
}
# A deployment that shows how another flow is put on a schedule; the schedule sleeps.
EXAMPLES = {"replicate-nightly": "replicate"}
FAULTY: list[tuple[str, dict[str, Any]]] = [
    ("transfer", {}),
    ("transfer", {"request": {"machine": "web", "source": "old"}}),
    ("transfer", {"request": {**MACHINE, "target": "new"}}),
    ("transfer", {"request": {**MACHINE, "source_kind": "tape"}}),
    ("transfer", {"request": {**MACHINE, "overrides": {"migr_worker_vcpus": 0}}}),
    ("transfer", {"request": {**MACHINE, "lag_warning": 0}}),
    ("replicate", {"request": {**GROUP, "limit": 0}}),
    ("replicate", {"request": {**GROUP, "machines": ["web"]}}),
    ("deploy", {"request": {**MACHINE, "boot_timeout": 0}}),
    ("migrate", {"request": {"transfer": MACHINE, "go": "maybe"}}),
    ("resume-move", {"request": {"machine": "web"}}),
    ("roll-back-move", {"request": {**MACHINE, "force": True}}),
    ("preflight", {"request": {"transfer": MACHINE, "deploy_options": {"boot_timeout": 0}}}),
    ("delete-replica", {"request": {"machine": "web"}}),
    ("stage-worker-image", {"endpoint": "new", "image": "worker.qcow2"}),
    ("sweep", {"endpoints": "new"}),
]


def flow_of(deployment: str, monkeypatch: pytest.MonkeyPatch) -> Flow[..., Any]:
    """Load a flow in the way in which Prefect's worker does: by its path, from the checkout."""
    monkeypatch.chdir(ROOT)
    return load_flow_from_entrypoint(DEPLOYMENTS[deployment]["entrypoint"])


def objections(flow: Flow[..., Any], parameters: dict[str, Any], *, partly: bool = False) -> int:
    """Count what a server that enforces the schema objects to."""
    schema = parameter_schema(flow).model_dump_for_openapi()
    found = validate(parameters, schema, ignore_required=partly)
    return len(list(found))


def test_every_key_is_one_that_prefect_knows() -> None:
    """Prefect drops keys that it does not know without a word."""
    PrefectYamlModel.model_validate(DOCUMENT)
    for deployment in DEPLOYMENTS.values():
        assert set(deployment) <= set(DeploymentConfig.model_fields)


def test_each_flow_is_there_once() -> None:
    flows = [
        "transfer",
        "replicate",
        "deploy",
        "migrate",
        "resume-move",
        "roll-back-move",
        "preflight",
        "delete-replica",
        "stage-worker-image",
        "sweep",
    ]
    assert [name for name in DEPLOYMENTS if name not in EXAMPLES] == flows
    assert len(DOCUMENT["deployments"]) == len(DEPLOYMENTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_an_entrypoint_is_a_flow_of_that_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flow_of(name, monkeypatch).name == EXAMPLES.get(name, name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_nothing_by_itself(name: str) -> None:
    assert [schedule["active"] for schedule in DEPLOYMENTS[name]["schedules"]] == [False]
    assert DEPLOYMENTS[name]["concurrency_limit"] == {
        "limit": 1,
        "collision_strategy": "CANCEL_NEW",
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_says_what_it_is_and_where_it_runs(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert deployment["description"].endswith(".")
    # A sweep that crashes must not start the next one; the others leave nothing to be swept.
    makes_things = name not in {"preflight", "sweep", "stage-worker-image"}
    assert deployment["tags"] == ["tradewind", "tradewind-work"][: 1 + makes_things]
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["concurrency_limit"]["collision_strategy"] in {"ENQUEUE", "CANCEL_NEW"}
    assert deployment["concurrency_limit"]["limit"] >= 1
    assert deployment["work_pool"]["name"] == "tradewind"
    assert deployment["work_pool"]["job_variables"] == {"stream_output": False}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_own_parameters_fit_the_flow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, deployment = flow_of(name, monkeypatch), DEPLOYMENTS[name]
    own = deployment.get("parameters", {})
    assert objections(flow, own, partly=True) == 0
    for schedule in deployment.get("schedules", []):
        assert objections(flow, {**own, **schedule.get("parameters", {})}) == 0


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_what_a_caller_has_to_send_is_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = DEPLOYMENTS[name].get("parameters", {})
    assert objections(flow_of(name, monkeypatch), {**own, **ENOUGH[name]}) == 0


@pytest.mark.parametrize(("name", "parameters"), FAULTY)
def test_what_is_faulty_is_refused_before_a_run_exists(
    name: str, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert objections(flow_of(name, monkeypatch), parameters) > 0


def test_no_folder_of_the_deployer_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `prefect deploy` does to the steps: it fills in what it knows at that moment."""
    monkeypatch.setenv("TRADEWIND_HOME", "/somewhere/on/the/deployers/machine")
    assert apply_values(DOCUMENT["pull"], {}, remove_notset=False) == DOCUMENT["pull"]


def test_a_worker_finds_its_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, enter = DOCUMENT["pull"]
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    known = {"checkout": asyncio.run(run_shell_script(**_inputs(look)))}
    assert apply_values(_inputs(enter), known) == {"directory": str(tmp_path)}


def test_a_worker_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)
    with pytest.raises(RuntimeError, match="TRADEWIND_HOME: name the checkout on this worker"):
        asyncio.run(run_shell_script(**_inputs(DOCUMENT["pull"][0])))


def _inputs(step: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (inputs,) = step.values()
    return {name: value for name, value in inputs.items() if name != "id"}
