# SPDX-License-Identifier: Apache-2.0
"""How long each task of a flow run took, asked of Prefect's API as anybody would."""

import json
import os
import urllib.request
from typing import Any


def _ask(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{os.environ['PREFECT_API_URL']}{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def of_last_run(flow_run: str) -> list[tuple[str, float]]:
    """Name the tasks of the last flow run of this name, in order, with their seconds."""
    runs = _ask(
        "/flow_runs/filter",
        {
            "flow_runs": {"name": {"any_": [flow_run]}},
            "sort": "START_TIME_DESC",
            "limit": 1,
        },
    )
    tasks = _ask(
        "/task_runs/filter",
        {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}, "limit": 200},
    )
    begun = [task for task in tasks if task["start_time"]]
    begun.sort(key=lambda task: str(task["start_time"]))
    return [(task["name"], task["total_run_time"]) for task in begun]


def show(flow_run: str) -> None:
    """Print them."""
    print(f"\n{flow_run}:")
    for name, seconds in of_last_run(flow_run):
        print(f"  {seconds:7.1f} s  {name}")


def artifacts(key: str) -> list[dict[str, Any]]:
    """Read the artifacts with this key, the last one first."""
    found: list[dict[str, Any]] = _ask(
        "/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
    )
    return found
