# SPDX-License-Identifier: Apache-2.0
"""Steps that put reports where Prefect's UI shows them.

Telling what happened is best effort: when it fails, what happened is as it was.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from tasks.step import step
from tasks.transfer.progress import artifact_key
from tradewind.model.cutover import SettledMove
from tradewind.model.groups import GroupReport
from tradewind.model.migrate import GivenUp, MigrateReport
from tradewind.model.preflight import PreflightReport
from tradewind.model.proof import KeptEvidence
from tradewind.model.report import DeployReport, FailedBoot, SweepReport, TransferReport
from tradewind.model.requests import RemovalReport
from tradewind.reports.deploy import deploy_markdown, failed_boot_markdown, picture
from tradewind.reports.groups import group_markdown
from tradewind.reports.markdown import literal
from tradewind.reports.move import given_up_markdown, migrate_markdown, settled_markdown
from tradewind.reports.preflight import preflight_markdown
from tradewind.reports.removal import removal_markdown
from tradewind.reports.sweep import sweep_markdown
from tradewind.reports.transfer import transfer_markdown

P = ParamSpec("P")
R = TypeVar("R")


def best_effort(
    publish: Callable[Concatenate[R, P], object],
) -> Callable[Concatenate[R, P], R]:
    """Let a function that tells of a report fail with a warning; the report is returned."""

    @wraps(publish)
    def tell(report: R, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            publish(report, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - Prefect's API raises what httpx raises, and more
            get_run_logger().warning("the report is not in Prefect's UI: %s", error)
        return report

    return tell


@best_effort
@step("report-{report.machine}")
def publish_transfer(report: TransferReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        transfer_markdown(report),
        key=artifact_key("transfer", report.machine),
        description=f"Transfer of {literal(report.machine)} to {literal(report.destination)}",
    )


@best_effort
@step("report-sweep-{report.endpoint}")
def publish_sweep(report: SweepReport, *, dry_run: bool) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        sweep_markdown([report], dry_run=dry_run),
        key=artifact_key("sweep", report.endpoint),
        description=f"Sweep of {literal(report.endpoint)}",
    )


@best_effort
@step("report-{report.machine}")
def publish_deployment(report: DeployReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        deploy_markdown(report) + picture(report.proof.kept if report.proof else KeptEvidence()),
        key=artifact_key("rehearse" if report.rehearsal else "deploy", report.machine),
        description=f"{report.word.capitalize()} of {literal(report.machine)}"
        f" on {literal(report.destination)}",
    )


@best_effort
@step("report-failed-boot-of-{failed.domain}")
def publish_failed_boot(failed: FailedBoot) -> None:
    """Put where Prefect's UI shows it what the machine showed, and what became of it."""
    create_markdown_artifact(
        failed_boot_markdown(failed) + picture(failed.kept),
        key=artifact_key("rehearse" if failed.rehearsal else "deploy", failed.machine),
        description=f"{literal(failed.domain)} did not boot on {literal(failed.destination)}",
    )


@best_effort
@step("report-{report.machine}")
def publish_migration(report: MigrateReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        migrate_markdown(report),
        key=artifact_key("migrate", report.machine),
        description=f"Move of {literal(report.machine)} to {literal(report.destination)}",
    )


@best_effort
@step("report-{given_up.machine}")
def publish_given_up(given_up: GivenUp) -> None:
    """Put where Prefect's UI shows it what happened, and where the machine is now."""
    create_markdown_artifact(
        given_up_markdown(given_up),
        key=artifact_key("migrate", given_up.machine),
        description=f"Move of {literal(given_up.machine)} to {literal(given_up.destination)},"
        " given up",
    )


@best_effort
@step("report-{settled.machine}")
def publish_settled(settled: SettledMove) -> None:
    """Put where Prefect's UI shows it how an unfinished move ended."""
    create_markdown_artifact(
        settled_markdown(settled),
        key=artifact_key("migrate", settled.machine),
        description=f"Unfinished move of {literal(settled.machine)}: {settled.end}",
    )


@best_effort
@step("report-{report.machine}")
def publish_preflight(report: PreflightReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        preflight_markdown(report),
        key=artifact_key("preflight", report.machine),
        description=f"Preflight of {literal(report.machine)} to {literal(report.destination)}",
    )


@best_effort
@step("report-group")
def publish_group(report: GroupReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        group_markdown(report),
        key=artifact_key("group", report.source, report.destination),
        description=f"Machines from {literal(report.source)} to {literal(report.destination)}",
    )


@best_effort
@step("report-removal-{report.machine}")
def publish_removal(report: RemovalReport) -> None:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        removal_markdown(report),
        key=artifact_key("removal", report.machine),
        description=f"Removal of the replica of {literal(report.machine)}"
        f" from {literal(report.destination)}",
    )
