# SPDX-License-Identifier: Apache-2.0
"""The report of a removal."""

from tradewind.model.requests import RemovalReport
from tradewind.reports.markdown import bullets, literal
from tradewind.units import human_size


def removal_markdown(report: RemovalReport) -> str:
    """Write the report of a removal."""
    volumes = [
        f"volume {each.name} in pool {each.pool} of {report.destination}"
        f" ({human_size(each.capacity)})"
        for each in report.volumes
    ]
    checkpoints = [f"checkpoint {name} on {report.source}" for name in report.checkpoints]
    gone = (
        bullets("Removed", [*map(literal, (*volumes, *checkpoints))])
        or "\nThere were no volumes any more.\n"
    )
    title = f"{report.machine} from {report.source} on {report.destination}"
    return f"""# {literal(title)}

The replica is gone, and nothing is known of it any more. Machines that were deployed from it stay.
{gone}{bullets("What stays", [*map(literal, report.stays)])}"""
