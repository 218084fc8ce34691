# SPDX-License-Identifier: Apache-2.0
"""The automation that tells somebody waits for events that are really sent."""

from pathlib import Path
from uuid import uuid4

from prefect.events.schemas.automations import AutomationCore, EventTrigger
from ruamel.yaml import YAML

from tasks.move import unfinished
from tasks.operate import lag
from tasks.operate.announcements import REQUESTS

FILE = Path(__file__).parents[3] / "deployments/examples/notify.yaml"


def test_it_waits_for_every_failure_and_for_late_replicas() -> None:
    said = FILE.read_text().replace("block_document_id: BLOCK", f"block_document_id: {uuid4()}")
    [found] = YAML(typ="safe").load(said)["automations"]
    trigger = AutomationCore.model_validate(found).trigger
    assert isinstance(trigger, EventTrigger)
    ends = {f"tradewind.{word}.failed" for word in (*REQUESTS, "rehearse")}
    assert trigger.expect == ends | {lag.EVENT, unfinished.EVENT}
