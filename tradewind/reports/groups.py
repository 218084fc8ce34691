# SPDX-License-Identifier: Apache-2.0
"""The report of a group of machines."""

from datetime import datetime

from tradewind.model.groups import GroupReport, MachineOutcome
from tradewind.model.ledger import is_late, lag
from tradewind.reports.lag import human_lag, lateness
from tradewind.reports.markdown import bullets, code, literal
from tradewind.units import human_duration, human_size


def group_markdown(report: GroupReport) -> str:
    """Write the report of a group: a line for each machine, then what went wrong."""
    rows = "\n".join(_row(outcome, report.ended) for outcome in report.outcomes)
    return f"""# {literal(report.source)} → {literal(report.destination)}

{literal(report.headline())}.

| machine | state | sent | took | behind its source |
|---|---|---|---|---|
{rows}

- Took {human_duration(report.seconds)} in all.
- Behind its source: the time since the last point in time that the replica equals.
{bullets("Warnings", _warnings(report))}{bullets("Not up to date", _problems(report))}"""


def _row(outcome: MachineOutcome, now: datetime) -> str:
    sent = "–" if outcome.sent is None else human_size(outcome.sent)
    behind = human_lag(lag(outcome.consistent, now))
    took = human_duration(outcome.seconds)
    return f"| {literal(outcome.machine)} | {outcome.state} | {sent} | {took} | {behind} |"


def _warnings(report: GroupReport) -> list[str]:
    lags = [(each.machine, lag(each.consistent, report.ended)) for each in report.outcomes]
    return [
        f"The replica of {literal(machine)} {lateness(behind, report.lag_warning)}."
        for machine, behind in lags
        if is_late(behind, report.lag_warning)
    ]


def _problems(report: GroupReport) -> list[str]:
    return [
        f"{literal(each.machine)}: {literal(each.problem or each.state)}"
        f" (flow run {code(each.flow_run)})"
        for each in report.unfinished
    ]
