# SPDX-License-Identifier: Apache-2.0
"""Configure a Prefect server from this checkout, and keep what an operator changed.

What the code defines (entrypoint, schema, steps, tags, descriptions) is brought up to date. What
an operator tunes (schedules, pauses, limits, parameters, an automation's trigger) is set once,
when the thing is made; a difference is named, and `reset` takes the project's value again.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from blocks import ALL
from deployments.project import ProjectDeployment, planned
from tradewind.errors import BadInputError
from tradewind.model.record import Record

# A process worker: decision 0009 counts on processes, and so does the way in which they end.
POOL_TYPE: Final = "process"


class InstallAction(StrEnum):
    """What was done."""

    MADE = "made"
    CHANGED = "changed"
    LEFT = "left"


class Installed(Record):
    """One thing on the server: what was done, and what differs from the project and was left."""

    kind: str
    name: str
    what: InstallAction
    notes: tuple[str, ...] = ()


def block_types(client: SyncPrefectClient) -> Iterator[Installed]:
    """Register the block types, with the forms that the UI makes of them."""
    for block in ALL:
        what = _known_as(client, block)
        block.register_type_and_schema()
        yield Installed(kind="block type", name=block.get_block_type_slug(), what=what)


def _known_as(client: SyncPrefectClient, block: type[Block]) -> InstallAction:
    try:
        client.read_block_type_by_slug(block.get_block_type_slug())
    except ObjectNotFound:
        return InstallAction.MADE
    try:
        client.read_block_schema_by_checksum(block._calculate_schema_checksum())
    except ObjectNotFound:
        return InstallAction.CHANGED
    return InstallAction.LEFT


def work_pools(client: SyncPrefectClient) -> Iterator[Installed]:
    """Make the work pools that the deployments name."""
    for name in sorted({each.pool for each in planned()}):
        yield _work_pool(client, name)


def _work_pool(client: SyncPrefectClient, name: str) -> Installed:
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE))
        return Installed(kind="work pool", name=name, what=InstallAction.MADE)
    if found.type != POOL_TYPE:
        raise BadInputError(
            f"work pool “{name}” is of type {found.type}, not {POOL_TYPE}",
            "rename or delete that pool, or name another one in prefect.yaml",
        )
    notes = ("it is paused: `tradewind resume`",) if found.is_paused else ()
    return Installed(kind="work pool", name=name, what=InstallAction.LEFT, notes=notes)


def deployments(client: SyncPrefectClient, *, reset: bool) -> Iterator[Installed]:
    """Make the deployments of prefect.yaml, or bring them up to date."""
    for plan in planned():
        yield _deployment(client, plan, reset=reset)


def _deployment(client: SyncPrefectClient, plan: ProjectDeployment, *, reset: bool) -> Installed:
    name = plan.full_name()
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        create(client, plan)
        return Installed(kind="deployment", name=name, what=InstallAction.MADE)
    if reset:
        create(client, plan)
        return Installed(kind="deployment", name=name, what=InstallAction.CHANGED, notes=("reset",))
    outdated = _outdated(found, plan)
    if outdated:
        client.update_deployment(found.id, DeploymentUpdate(**outdated))
    return Installed(
        kind="deployment",
        name=name,
        what=InstallAction.CHANGED if outdated else InstallAction.LEFT,
        notes=(*outdated, *_tuned(found, plan)),
    )


def create(client: SyncPrefectClient, plan: ProjectDeployment) -> None:
    """Make a deployment, or make it anew: all it has is then as the plan says."""
    client.create_deployment(
        flow_id=client.create_flow(plan.flow()),
        name=plan.name,
        parameters=plan.parameters,
        schedules=list(plan.schedules),
        concurrency_limit=plan.limit,
        concurrency_options=ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy(plan.collision_strategy)
        ),
        paused=False,
        work_pool_name=plan.pool,
        **_defined(plan),
    )


def _defined(plan: ProjectDeployment) -> dict[str, Any]:
    """Name what the code defines as Prefect names it."""
    return {
        "entrypoint": plan.entrypoint,
        "description": plan.description,
        "tags": list(plan.tags),
        "pull_steps": plan.pull,
        "job_variables": plan.job_variables,
        "parameter_openapi_schema": plan.schema(),
        "enforce_parameter_schema": True,
    }


def _outdated(found: DeploymentResponse, plan: ProjectDeployment) -> dict[str, Any]:
    """Name what the code defines otherwise now; job variables of the operator's own stay."""
    wanted = _defined(plan)
    wanted["job_variables"] = {**found.job_variables, **plan.job_variables}
    outdated = {field: value for field, value in wanted.items() if getattr(found, field) != value}
    if found.work_pool_name != plan.pool:
        outdated["work_pool_name"] = plan.pool
    return outdated


def _tuned(found: DeploymentResponse, plan: ProjectDeployment) -> Iterator[str]:
    """Name what the operator has set otherwise than prefect.yaml."""
    limit = found.global_concurrency_limit.limit if found.global_concurrency_limit else None
    strategy = found.concurrency_options and found.concurrency_options.collision_strategy.value
    if (limit, strategy) != (plan.limit, plan.collision_strategy):
        yield f"its concurrency limit is {limit} {strategy or ''}".rstrip()
    if found.parameters != plan.parameters:
        yield "it has parameters of its own"
    if found.paused:
        yield "it is paused"
    there = {(each.slug, each.schedule.model_dump_json(), each.active) for each in found.schedules}
    if there != {
        (each.slug, each.schedule.model_dump_json(), each.active) for each in plan.schedules
    }:
        yield "it has schedules of its own"
