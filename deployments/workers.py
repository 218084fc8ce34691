# SPDX-License-Identifier: Apache-2.0
"""The project's work pool, and whether a worker is there; asked without Prefect's client."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from deployments.advice import Advice
from deployments.prefect_api import Api, PrefectApi

_PROJECT: Final = Path(__file__).parents[1] / "prefect.yaml"


def pool_name() -> str:
    """Name the one work pool of prefect.yaml."""
    document: dict[str, Any] = YAML(typ="safe").load(_PROJECT)
    (name,) = {each["work_pool"]["name"] for each in document["deployments"]}
    return str(name)


def missing_worker(api: Api | None = None) -> Advice | None:
    """Say that no worker is there to start what is asked for or comes due."""
    place = f"/work_pools/{pool_name()}/workers/filter"
    workers = (api or PrefectApi()).ask("POST", place, {})
    if workers is None:
        return Advice(what="Prefect has no work pool yet.", remedy="make it: tradewind setup")
    if any(each["status"] == "ONLINE" for each in workers):
        return None
    return Advice(
        what="No worker runs: what is scheduled, or started on the server, waits.",
        remedy="start one in this checkout: (set -a; . <(tradewind settings worker);"
        " TRADEWIND_HOME=$PWD exec prefect worker start --pool tradewind)",
    )
