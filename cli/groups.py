# SPDX-License-Identifier: Apache-2.0
"""Commands that look at many machines at once."""

from datetime import UTC, datetime
from typing import Any

from cli.ledgers import ledger_of
from cli.options import (
    Destination,
    Images,
    Json,
    LagWarning,
    Limit,
    Names,
    Options,
    Patterns,
    Source,
    Tags,
)
from cli.printing import show, show_all
from cli.standings import standings, status_table
from tradewind.model.groups import GroupReport, GroupRequest, MachineSelection
from tradewind.model.requests import SourceKind


def replicate(
    source: Source,
    destination: Destination,
    names: Names = None,
    patterns: Patterns = None,
    tags: Tags = None,
    limit: Limit = 2,
    options: Options = "default",
    images: Images = False,
    lag_warning: LagWarning = None,
    json: Json = False,
) -> None:
    """Bring the replicas of a group of machines up to date, each in a flow run of its own."""
    from flows.replicate import replicate as flow  # noqa: PLC0415 - Prefect takes seconds
    from tasks.group_reports import group_markdown  # noqa: PLC0415
    from tasks.groups import MachinesFailedError  # noqa: PLC0415

    request = group_request(
        source=source,
        destination=destination,
        names=names,
        patterns=patterns,
        tags=tags,
        limit=limit,
        options=options,
        images=images,
        lag_warning=lag_warning,
    )
    try:
        report = flow(request)
    except MachinesFailedError as error:
        show(error.report, group_markdown, json=json)
        raise
    assert isinstance(report, GroupReport)  # noqa: S101 - a state is turned into its result
    show(report, group_markdown, json=json)


def group_request(
    *,
    names: list[str] | None,
    patterns: list[str] | None,
    tags: list[str] | None,
    images: bool,
    **asked: Any,
) -> GroupRequest:
    """Ask for a group as the options of a command say."""
    return GroupRequest(
        machines=MachineSelection(
            names=tuple(names or ()), patterns=tuple(patterns or ()), tags=tuple(tags or ())
        ),
        source_kind=SourceKind.IMAGES if images else SourceKind.LIBVIRT,
        **asked,
    )


def status(options: Options = "default", json: Json = False) -> None:
    """Say of every replica how far it is behind its machine, and when it is brought up to date."""
    from cli.registration import registration  # noqa: PLC0415

    with ledger_of(options) as ledger:
        replicas = ledger.replicas()
    with registration() as stored:
        found = standings(replicas, stored.all(), datetime.now(UTC))
    there = [each for each in found if each.machine_id is not None]
    show_all(there, status_table, json=json, none="no machine was ever transferred")
