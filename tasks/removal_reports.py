# SPDX-License-Identifier: Apache-2.0
"""The report of a removal as a Markdown artifact, and its words."""

from prefect.artifacts import create_markdown_artifact

from tasks.markdown import bullets, literal
from tasks.progress import artifact_key
from tasks.step import step
from tradewind.model.removal import RemovalReport
from tradewind.units import human_size


@step("report-removal-{report.machine}")
def publish_removal(report: RemovalReport) -> RemovalReport:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        removal_markdown(report),
        key=artifact_key("removal", report.machine),
        description=f"Removal of the replica of {literal(report.machine)}"
        f" from {literal(report.destination)}",
    )
    return report


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
