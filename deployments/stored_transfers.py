# SPDX-License-Identifier: Apache-2.0
"""Stored transfers and groups as Prefect keeps them: found, paused, resumed, removed.

A name is looked up alone. What lists all walks pages; Prefect (3.8) has no answer that leaves out
a deployment's schema. `registration.py` stores them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from deployments.prefect_api import Api, PrefectApi, pages
from deployments.stored import Stored
from deployments.stored_schedules import words
from tradewind.errors import NotFoundError
from tradewind.nearest import listed

# What tells the deployments that were made by command from those of prefect.yaml.
TAG: Final = "tradewind-stored"
# The flow of one machine, and that of a group.
_TRANSFER: Final = "transfer"
_GROUP: Final = "replicate"
_OURS: Final = {"tags": {"all_": [TAG]}}
_PLANNED: Final = {"state": {"type": {"any_": ["SCHEDULED"]}}}


class StoredTransfers:
    """What is stored on the server that PREFECT_API_URL names."""

    def __init__(self, api: Api | None = None) -> None:
        self._api = api or PrefectApi()

    def all(self, *, planned: bool = True) -> list[Stored]:
        """List what is stored, by name; without `planned` not when each comes due next."""
        found = list(pages(self._api, "/deployments/filter", {"deployments": _OURS}))
        due = {each["id"] for each in found if planned and _comes_due(each)}
        coming = self._next_runs(due)
        return [_stored(each, coming.get(each["id"])) for each in found]

    def schedules(self, *, planned: bool = True) -> list[Stored]:
        """List what comes due by itself, by name."""
        return [each for each in self.all(planned=planned) if each.when]

    def transfer(self, name: str) -> Stored:
        """Find a stored transfer of one machine; NotFoundError names the nearest."""
        found = self._find(_TRANSFER, name)
        if found is None:
            there = [each.name for each in self.all(planned=False) if each.is_transfer]
            raise _unknown(name, there, "transfer")
        return found

    def remove_schedule(self, name: str) -> None:
        """Remove a schedule and the runs that are planned for it; replicas stay.

        A transfer of one machine stays stored; a group is nothing without its schedule.
        """
        found = self._scheduled(name)
        if not found.is_transfer:
            self.delete(found)
            return
        place = f"/deployments/{found.id}"
        for each in self._api.ask("GET", f"{place}/schedules"):
            self._api.ask("DELETE", f"{place}/schedules/{each['id']}")
        self._api.ask("POST", f"{place}/resume_deployment")

    def delete(self, stored: Stored) -> None:
        """Forget what is stored, and the runs that are planned for it."""
        self._api.ask("DELETE", f"/deployments/{stored.id}")

    def pause(self, name: str) -> None:
        """Plan no runs until it is resumed."""
        self._api.ask("POST", f"/deployments/{self._scheduled(name).id}/pause_deployment")

    def resume(self, name: str) -> None:
        """Plan runs again."""
        self._api.ask("POST", f"/deployments/{self._scheduled(name).id}/resume_deployment")

    def _scheduled(self, name: str) -> Stored:
        for flow in (_TRANSFER, _GROUP):
            found = self._find(flow, name)
            if found is not None and found.when:
                return found
        there = [each.name for each in self.schedules(planned=False)]
        raise _unknown(name, there, "schedule")

    def _find(self, flow: str, name: str) -> Stored | None:
        place = f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}"
        found = self._api.ask("GET", place) if name else None
        if found is None or TAG not in found["tags"]:
            return None
        coming = self._next_runs({found["id"]} if _comes_due(found) else set())
        return _stored(found, coming.get(found["id"]))

    def _next_runs(self, wanted: set[str]) -> dict[str, datetime]:
        """Find the earliest planned run of each; no more pages are read than that takes."""
        coming: dict[str, datetime] = {}
        if not wanted:
            return coming
        ours = {"id": {"any_": [*wanted]}} if len(wanted) == 1 else _OURS
        for run in self._planned(ours):
            due = run["expected_start_time"]
            if run["deployment_id"] in wanted and due:
                coming.setdefault(run["deployment_id"], datetime.fromisoformat(due))
            if len(coming) == len(wanted):
                break
        return coming

    def _planned(self, deployments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        asked = {
            "deployments": deployments,
            "flow_runs": _PLANNED,
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return pages(self._api, "/flow_runs/filter", asked)


def _unknown(name: str, there: list[str], kind: str) -> NotFoundError:
    return NotFoundError(f"no {kind} is called “{name}”", f"there are: {listed(there, name)}")


def _comes_due(deployment: dict[str, Any]) -> bool:
    return bool(deployment["schedules"]) and not deployment["paused"]


def _stored(deployment: dict[str, Any], coming: datetime | None) -> Stored:
    return Stored(
        id=deployment["id"],
        name=deployment["name"],
        flow=(deployment["entrypoint"] or "").rpartition(":")[2],
        when=", ".join(words(each["schedule"]) for each in deployment["schedules"]),
        paused=deployment["paused"],
        request=deployment["parameters"].get("request", {}),
        next_run=coming,
    )
