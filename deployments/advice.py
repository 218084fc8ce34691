# SPDX-License-Identifier: Apache-2.0
"""What an installation lacks, said without Prefect's client: commands that only look say it too."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from deployments.prefect_api import Api, PrefectApi
from tradewind.model.record import Record

PROJECT: Final = Path(__file__).parents[1] / "prefect.yaml"
# Schedules from which on PostgreSQL is advised (docs/operate/controller.md says what was measured).
MANY: Final = 100


class Advice(Record):
    """A setting that should be another, and what to do."""

    what: str
    remedy: str


def pool_name() -> str:
    """Name the one work pool of prefect.yaml."""
    document: dict[str, Any] = YAML(typ="safe").load(PROJECT)
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


def outgrown_sqlite(scheduled: int, ledger: str) -> Advice | None:
    """Advise PostgreSQL when many come due and the ledger is a file.

    Prefect's server does not say on what it keeps its own; who moves one moves both.
    """
    if scheduled < MANY or ("://" in ledger and not ledger.startswith("sqlite")):
        return None
    return Advice(
        what=f"{scheduled} transfers have a schedule. SQLite has one writer at a time, in the"
        " ledger and in Prefect's server: with many it keeps them waiting.",
        remedy=f"from {MANY} on, move both to PostgreSQL (docs/operate/controller.md)",
    )
