# SPDX-License-Identifier: Apache-2.0
"""What is asked of Prefect's server: for a name only that, for a list no more than it takes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from deployments.prefect_api import PAGE
from deployments.stored_transfers import TAG, StoredTransfers
from tradewind.errors import NotFoundError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = {"schedule": {"interval": 3600.0, "timezone": "UTC"}}


def deployment(number: int, flow: str = "transfer", **more: Any) -> dict[str, Any]:
    return {
        "id": str(UUID(int=number)),
        "name": f"web{number:04}",
        "entrypoint": f"flows/{flow}.py:{flow}",
        "tags": [TAG],
        "schedules": [HOURLY],
        "paused": False,
        "parameters": {"request": {"machine": "web", "source": "old", "destination": "new"}},
        **more,
    }


class Server:
    """Answers like Prefect's (3.8), and keeps the paths that it was asked for."""

    def __init__(self, *stored: dict[str, Any]) -> None:
        self.stored = stored
        self.asked: list[str] = []
        # Four are planned of each.
        runs = [(each, hours) for hours in range(1, 5) for each in stored if each["schedules"]]
        self.runs = [
            {
                "deployment_id": each["id"],
                "expected_start_time": (NOON + timedelta(hours=hours)).isoformat(),
            }
            for each, hours in runs
        ]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        self.asked.append(f"{method} {path}")
        if path.startswith("/deployments/name/"):
            *_, flow, name = path.split("/")
            found = (each for each in self.stored if each["name"] == name)
            return next((each for each in found if f":{flow}" in each["entrypoint"]), None)
        if body is None or "offset" not in body:
            return None
        there = self.runs if "flow_runs" in body else self.stored
        only = body["deployments"].get("id", {}).get("any_")
        there = [each for each in there if only is None or each.get("deployment_id") in only]
        return there[body["offset"] :][: body["limit"]]


def test_a_name_is_looked_up_alone() -> None:
    server = Server(*(deployment(number) for number in range(2 * PAGE)))
    found = StoredTransfers(server).transfer("web0007")
    assert (found.name, found.next_run) == ("web0007", NOON + timedelta(hours=1))
    assert server.asked == ["GET /deployments/name/transfer/web0007", "POST /flow_runs/filter"]
    server.asked.clear()
    StoredTransfers(server).pause("web0007")
    assert server.asked[-1] == f"POST /deployments/{UUID(int=7)}/pause_deployment"
    assert len(server.asked) == 3


def test_no_more_planned_runs_are_read_than_it_takes() -> None:
    server = Server(*(deployment(number) for number in range(PAGE)))
    found = StoredTransfers(server).all()
    assert {each.next_run for each in found} == {NOON + timedelta(hours=1)}
    assert server.asked.count("POST /flow_runs/filter") == 1


def test_what_never_comes_due_has_no_planned_runs() -> None:
    server = Server(deployment(1, schedules=[]), deployment(2, paused=True))
    assert [each.next_run for each in StoredTransfers(server).all()] == [None, None]
    assert server.asked == ["POST /deployments/filter"]


def test_a_group_is_found_by_its_name_and_is_no_transfer() -> None:
    server = Server(deployment(1, "replicate"))
    StoredTransfers(server).resume("web0001")
    assert server.asked[-1] == f"POST /deployments/{UUID(int=1)}/resume_deployment"
    with pytest.raises(NotFoundError, match="no transfer is called “web0001”"):
        StoredTransfers(server).transfer("web0001")


def test_what_prefect_yaml_deploys_is_nothing_stored() -> None:
    server = Server(deployment(1, tags=["tradewind"]))
    with pytest.raises(NotFoundError, match="no schedule is called"):
        StoredTransfers(server).pause("web0001")
