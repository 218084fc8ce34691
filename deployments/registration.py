# SPDX-License-Identifier: Apache-2.0
"""Store transfers and groups in Prefect: a deployment for each, as in prefect.yaml."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from deployments.prefect_api import Api, PrefectApi
from deployments.project import ProjectDeployment, planned_for
from deployments.stored_transfers import TAG
from tradewind.errors import NotFoundError
from tradewind.model.record import Record

# What Prefect does not take in a name.
_BANNED: Final = str.maketrans(dict.fromkeys("/%&><", "-"))

Schedule = CronSchedule | IntervalSchedule


@dataclass(frozen=True, slots=True)
class NamedRequest:
    """What shall be stored: under which name, what it asks for, and when it comes due."""

    name: str
    request: Record
    schedule: Schedule | None = None


class Registration:
    """Stores transfers and groups on the server that PREFECT_API_URL names."""

    def __init__(self, api: Api | None = None) -> None:
        self._api = api or PrefectApi()

    def add(
        self, flow: Flow[..., Any], name: str, request: Record, schedule: Schedule | None = None
    ) -> str:
        """Store a flow's request under a name, or anew; a run that comes due in another is refused.

        NotFoundError: there is no such work pool.
        """
        (given,) = self.add_all(flow, [NamedRequest(name, request, schedule)])
        return given

    def add_all(self, flow: Flow[..., Any], wanted: Iterable[NamedRequest]) -> Iterator[str]:
        """Store many, and give the name of each when it is stored."""
        like = planned_for(flow.name)
        # Prefect takes any name, and the runs of such a deployment would wait for ever.
        self._require_pool(like.pool)
        flow_id = self._api.ask("POST", "/flows/", {"name": flow.name})["id"]
        common = {"flow_id": flow_id, **_common(like)}
        for each in wanted:
            name = each.name.translate(_BANNED)
            self._api.ask("POST", "/deployments/", {**common, "name": name, **_own(each)})
            yield name

    def _require_pool(self, name: str) -> None:
        if self._api.ask("GET", f"/work_pools/{name}") is None:
            raise NotFoundError(
                f"Prefect has no work pool “{name}”, which prefect.yaml names",
                "make it: tradewind setup",
            )


def _common(like: ProjectDeployment) -> dict[str, Any]:
    """Say what all that is stored of a flow has in common, in the words of Prefect's API."""
    return {
        "entrypoint": like.entrypoint,
        "description": like.description,
        "tags": [*like.tags, TAG],
        "pull_steps": like.pull,
        "work_pool_name": like.pool,
        "job_variables": like.job_variables,
        "parameter_openapi_schema": like.schema(),
        "enforce_parameter_schema": True,
        "concurrency_limit": 1,
        "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
        "paused": False,
    }


def _own(wanted: NamedRequest) -> dict[str, Any]:
    when = wanted.schedule.model_dump(mode="json") if wanted.schedule else None
    return {
        # Of a deployment, Prefect does not take null for a field that is left empty.
        "parameters": {"request": wanted.request.model_dump(mode="json", exclude_none=True)},
        "schedules": [{"schedule": when, "active": True}] if when else [],
    }
