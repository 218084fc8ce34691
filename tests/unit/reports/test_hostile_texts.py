# SPDX-License-Identifier: Apache-2.0
"""Whatever a guest, a host or an error says, a report keeps its shape and shows it as text."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel

from tests.unit.reports.test_deploy_reports import deployment, failed
from tests.unit.reports.test_group_reports import GROUP
from tests.unit.reports.test_reports import SWEPT, transfer
from tradewind.model.finding import Finding, Severity
from tradewind.model.ledger import RunKind, RunState, RunSummary, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.migrate import GivenUp, MigrateReport, Phase, ShutDown
from tradewind.model.preflight import Area, AreaFindings, PreflightReport
from tradewind.model.requests import RemovalReport
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.reports.deploy import deploy_markdown, failed_boot_markdown
from tradewind.reports.groups import group_markdown
from tradewind.reports.machine_page import MachinePage, page_markdown
from tradewind.reports.markdown import code, literal
from tradewind.reports.move import given_up_markdown, migrate_markdown
from tradewind.reports.preflight import preflight_markdown
from tradewind.reports.removal import removal_markdown
from tradewind.reports.sweep import sweep_markdown
from tradewind.reports.transfer import transfer_markdown
from tradewind.units import GiB

HOSTILE = (
    "](http://evil.example/) ![x](http://evil.example/p.png) <img src=x> <!-- a | b || ``` `c` "
    "**d** _e_ ~~f~~ &copy; <http://g> [h]: http://i\n\n# j\n\n- k\n```\nl\n</p>\\"
)
BEGINNINGS = (
    "- a",
    "+ a",
    "* a",
    "1. a",
    "12) a",
    "---",
    "===",
    "> a",
    "# a",
    "| a",
    "    a",
    "~~~",
)


def moved() -> MigrateReport:
    return MigrateReport(
        machine="web01",
        source="old",
        destination="new",
        go="by a person",
        rounds=(transfer(),),
        shut_down=ShutDown(how="by its guest agent", seconds=4),
        last=transfer(full=False),
        deployment=deployment(),
        outage=(Phase(name="shutdown", seconds=4),),
        notes=("switch it on by hand",),
    )


FINDING = Finding(severity=Severity.ERROR, what="no pool", evidence="virsh", remedy="make one")
LOOKED = PreflightReport(
    machine="web01",
    source="old",
    destination="new",
    areas=(AreaFindings(area=Area.MACHINE, findings=(FINDING,)),),
    skipped=(Area.GUEST,),
)
GIVEN_UP = GivenUp(
    machine="web01", source="old", destination="new", why="no room", source_now="It runs", kept=True
)
REMOVED = RemovalReport(
    machine="web01",
    source="old",
    destination="new",
    transfer="cafe0001",
    volumes=(Volume(pool="fast", name="web01.qcow2", capacity=GiB, format="qcow2"),),
    checkpoints=("tw-1",),
    stays=("a checkpoint on old",),
)
MACHINE = VirtualMachine(id="m", name="web01", vcpus=1, memory=GiB, disks=(), nics=())
VOLUME = Volume(pool="fast", name="web01.qcow2", capacity=GiB, format="qcow2")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAGE = MachinePage(
    transfer=Transfer(
        id="cafe0001", source="old", destination="new", machine=MACHINE, consistent=NOON
    ),
    volumes=(ReplicaVolume(disk_id="sda", volume=VOLUME, serial="tw", blank=False),),
    runs=(
        RunSummary(
            id="r",
            kind=RunKind.EXECUTION,
            state=RunState.FAILED,
            begun=NOON,
            ended=None,
            host="host",
        ),
    ),
    now=NOON,
)
REPORTS: Mapping[str, tuple[BaseModel, Callable[[Any], str]]] = {
    "transfer": (transfer(), transfer_markdown),
    "deployment": (deployment(), deploy_markdown),
    "failed boot": (failed(), failed_boot_markdown),
    "group": (GROUP, group_markdown),
    "sweep": (SWEPT, lambda report: sweep_markdown([report])),
    "preflight": (LOOKED, preflight_markdown),
    "move": (moved(), migrate_markdown),
    "removal": (REMOVED, removal_markdown),
    "machine": (PAGE, page_markdown),
    "given up": (GIVEN_UP, given_up_markdown),
}


def with_texts(value: Any, text: str) -> Any:
    """Put a text in the place of every other text of a record."""
    if isinstance(value, BaseModel):
        changed = {
            name: with_texts(getattr(value, name), text) for name in type(value).model_fields
        }
        return value.model_copy(update=changed)
    if isinstance(value, tuple):
        return tuple(with_texts(each, text) for each in value)
    return text if isinstance(value, str) and value and not isinstance(value, Enum) else value


def shape(markdown: str) -> list[str]:
    """Say what a page is made of, without its words."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [each.type for each in flat(page) if each.type not in {"text", "softbreak"}]


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("text", [HOSTILE, *BEGINNINGS])
def test_report_keeps_its_shape(name: str, text: str) -> None:
    report, written = REPORTS[name]
    plain = shape(written(with_texts(report, "plain")))
    assert shape(written(with_texts(report, text))) == plain


@pytest.mark.parametrize("text", [HOSTILE, *BEGINNINGS, "web_01", "a & b < c"])
def test_literal_and_code_show_what_was_said(text: str) -> None:
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (words,) = (token for token in page.parse(literal(text)) if token.type == "inline")
    assert "".join(each.content for each in words.children or []) == " ".join(text.split())
    (shown,) = (each for each in flat(page.parse(code(text))) if each.type == "code_inline")
    assert shown.content.strip() == " ".join(text.split())
