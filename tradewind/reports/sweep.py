# SPDX-License-Identifier: Apache-2.0
"""The report of a sweep."""

from collections.abc import Sequence

from tradewind.model.leftover import Leftover
from tradewind.model.report import SweepReport
from tradewind.reports.markdown import bullets, literal


def sweep_markdown(reports: Sequence[SweepReport], *, dry_run: bool = False) -> str:
    """Write the sweep report."""
    removed = "Would be removed: nobody's any more" if dry_run else "Removed: nobody's any more"
    parts = []
    for report in reports:
        parts.append(f"# {literal(report.endpoint)}\n")
        parts.append(bullets("Decide", [literal(each.sentence) for each in report.outages]))
        if not (report.dead or report.alive or report.finished or report.unknown or report.held):
            parts.append("Clean: nothing temporary is there.\n")
        parts.append(_listed(removed, report.dead))
        parts.append(_listed("Left alone: its run is alive", report.alive))
        parts.append(_listed("Left alone: its run ended well", report.finished))
        parts.append(_listed("Left alone: the machine of an unfinished move", report.held))
        parts.append(_listed("Left alone: this ledger does not know its run", report.unknown))
        parts.append(bullets("Machines to look at", [literal(note) for note in report.notes]))
    return "\n".join(part for part in parts if part)


def _listed(title: str, found: Sequence[Leftover]) -> str:
    return bullets(title, [literal(str(each)) for each in found])
