# SPDX-License-Identifier: Apache-2.0
"""Commands that look at many machines at once."""

from typing import Any

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
from cli.parsing import source_kind
from cli.printing import show
from tradewind.model.groups import GroupReport, GroupRequest, MachineSelection
from tradewind.reports.groups import group_markdown


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
    """Update the replicas of a group of machines.

    Each machine gets a flow run of its own.
    """
    from flows.replicate import replicate as flow  # noqa: PLC0415 - Prefect takes seconds
    from tasks.groups.members import MachinesFailedError  # noqa: PLC0415

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
        source_kind=source_kind(images=images),
        **asked,
    )
