# SPDX-License-Identifier: Apache-2.0
"""What prefect.yaml and deployments/ say about this project, as records."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = ROOT / "prefect.yaml"
AUTOMATIONS: Final = ROOT / "deployments" / "automations.yaml"
SETTINGS: Final = ROOT / "deployments" / "settings"


@dataclass(frozen=True, slots=True)
class Planned:
    """A deployment as prefect.yaml describes it."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    pool: str
    job_variables: dict[str, Any]
    limit: int
    collision_strategy: str
    parameters: dict[str, Any]
    schedules: tuple[DeploymentScheduleCreate, ...]
    pull: list[dict[str, Any]]

    def flow(self) -> Flow[..., Any]:
        """Import the flow, by its module: its file's folder must not get onto Python's path."""
        path, name = self.entrypoint.split(":")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        found: Flow[..., Any] = getattr(module, name)
        return found

    def full_name(self) -> str:
        """Name it as Prefect's command line does: flow and deployment."""
        return f"{self.flow().name}/{self.name}"

    def schema(self) -> dict[str, Any]:
        """Describe its parameters, as Prefect's forms and checks want it."""
        schema = parameter_schema(self.flow()).model_dump_for_openapi()
        # Prefect calls a parameter as Python does: "dry_run".
        for name, said in schema["properties"].items():
            said["title"] = _title(name)
        return schema


def planned() -> tuple[Planned, ...]:
    """Read all deployments of prefect.yaml, in its order."""
    document: dict[str, Any] = YAML(typ="safe").load(PROJECT)
    return tuple(_planned(each, document["pull"]) for each in document["deployments"])


def planned_for(flow: str) -> Planned:
    """Read how prefect.yaml deploys a flow of this name."""
    (found,) = (each for each in planned() if each.name == flow)
    return found


def automations() -> list[dict[str, Any]]:
    """Read the automations; `deployment` in an action is still a name."""
    found: list[dict[str, Any]] = YAML(typ="safe").load(AUTOMATIONS)["automations"]
    return found


def settings(role: str) -> dict[str, str]:
    """Read the environment file of a role, server or worker: variable → value."""
    lines = (SETTINGS / f"{role}.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _title(name: str) -> str:
    """Write a parameter's name as a person would."""
    words = " ".join(name.split("_"))
    return f"{words[:1].upper()}{words[1:]}".replace("Ssh", "SSH")


def _planned(said: dict[str, Any], pull: list[dict[str, Any]]) -> Planned:
    return Planned(
        name=said["name"],
        entrypoint=said["entrypoint"],
        description=said["description"],
        tags=tuple(said["tags"]),
        pool=said["work_pool"]["name"],
        job_variables=said["work_pool"]["job_variables"],
        limit=said["concurrency_limit"]["limit"],
        collision_strategy=said["concurrency_limit"]["collision_strategy"],
        parameters=said.get("parameters", {}),
        schedules=tuple(_schedule(each) for each in said.get("schedules", ())),
        pull=pull,
    )


def _schedule(said: dict[str, Any]) -> DeploymentScheduleCreate:
    zone = said.get("timezone", "UTC")
    when: CronSchedule | IntervalSchedule = (
        CronSchedule(cron=said["cron"], timezone=zone)
        if "cron" in said
        else IntervalSchedule(interval=said["interval"], timezone=zone)
    )
    return DeploymentScheduleCreate(
        schedule=when,
        active=said.get("active", True),
        slug=said["slug"],
        parameters=said.get("parameters", {}),
    )
