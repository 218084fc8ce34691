# SPDX-License-Identifier: Apache-2.0
"""The report of a preflight."""

from tradewind.model.finding import Severity
from tradewind.model.preflight import PreflightReport
from tradewind.reports.markdown import literal


def preflight_markdown(report: PreflightReport) -> str:
    """Write the report: the verdict, then every finding, the serious ones first."""
    head = f"# Preflight of {literal(report.machine)}\n\n{_way(report)}\n"
    rows = [
        f"| {found.severity} | {area} | {_cell(found.what, found.evidence)}"
        f" | {_cell(found.remedy)} |"
        for area, found in report.sorted_findings()
    ]
    table = ["| | of | what | remedy |", "|---|---|---|---|", *rows] if rows else []
    unseen = ", ".join(report.skipped)
    rest = [f"Not looked at, because of the errors above: {unseen}."] if unseen else []
    return "\n\n".join([head, f"**{verdict(report)}**", "\n".join(table), *rest]) + "\n"


def verdict(report: PreflightReport) -> str:
    """Say in a sentence whether the machine can move."""
    counts = [
        f"{count} {severity}{'s' * (count != 1)}"
        for severity in Severity
        if (count := report.count(severity))
    ]
    return f"{'Ready' if report.ready else 'Not ready'}: {', '.join(counts) or 'nothing to say'}."


def _way(report: PreflightReport) -> str:
    return f"{literal(report.source)} → {literal(report.destination)}"


def _cell(*texts: str) -> str:
    """Write texts into one cell of a table."""
    return literal("; ".join(text for text in texts if text))
