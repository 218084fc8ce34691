# SPDX-License-Identifier: Apache-2.0
"""Reports of whole moves as Markdown artifacts, and their words."""

from prefect.artifacts import create_markdown_artifact

from tasks.markdown import bullets, fenced, literal
from tasks.progress import artifact_key
from tasks.step import step
from tradewind.model.migrate import GivenUp, MigrateReport
from tradewind.model.proof import BootProof
from tradewind.units import human_duration, human_size


@step("report-{report.machine}")
def publish_migration(report: MigrateReport) -> MigrateReport:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        migrate_markdown(report),
        key=artifact_key("migrate", report.machine),
        description=f"Move of {literal(report.machine)} to {literal(report.destination)}",
    )
    return report


@step("report-{given_up.machine}")
def publish_given_up(given_up: GivenUp) -> None:
    """Put where Prefect's UI shows it what happened, and where the machine is now."""
    create_markdown_artifact(
        given_up_markdown(given_up),
        key=artifact_key("migrate", given_up.machine),
        description=f"Move of {literal(given_up.machine)} to {literal(given_up.destination)},"
        " given up",
    )


def migrate_headline(report: MigrateReport) -> str:
    """Say in one sentence what the move came to."""
    return (
        f"{report.machine} moved from {report.source} to {report.destination};"
        f" it was away for {human_duration(report.outage_seconds)}."
    )


def migrate_markdown(report: MigrateReport) -> str:
    """Write the report of a move."""
    rounds = "\n".join(
        f"| {number} | {'all' if each.full else 'changes'} | {human_size(each.sent)}"
        f" | {human_duration(each.seconds)} |"
        for number, each in enumerate((*report.rounds, report.last), 1)
    )
    outage = "\n".join(
        f"| {literal(phase.name)} | {human_duration(phase.seconds)} |" for phase in report.outage
    )
    proof = report.deployment.proof
    lines = [literal(line) for line in proof.lines] if proof else ["nobody watched"]
    return f"""# {literal(report.machine)} → {literal(report.destination)}: moved

{literal(migrate_headline(report))}

## The outage

| part | took |
|---|---|
{outage}
| **together** | **{human_duration(report.outage_seconds)}** |

It was shut down {literal(report.shut_down.how)}. Go: {literal(report.go)}.{_watched(proof)}

## The rounds; the last one after the shutdown

| round | looked at | sent | took |
|---|---|---|---|
{rounds}
{bullets(f"The new machine ({literal(report.deployment.domain)})", lines)}\
{bullets("Afterwards", [literal(note) for note in report.notes])}"""


def _watched(proof: BootProof | None) -> str:
    if proof is None or not proof.watched_seconds:
        return ""
    took = human_duration(proof.watched_seconds)
    return f"\nIt was watched for {took} after the proof, which the outage does not count."


def given_up_markdown(given_up: GivenUp) -> str:
    """Write what happened to a move that failed after the shutdown began."""
    return f"""# {literal(given_up.machine)} → {literal(given_up.destination)}: given up

**{literal(given_up.source_now)}.**

What failed after the shutdown had begun:

{fenced(given_up.why)}
{_new_machine(given_up)}; the replica stays, and the next execution compares it.
"""


def _new_machine(given_up: GivenUp) -> str:
    if not given_up.kept:
        return f"What was made on {literal(given_up.destination)} for the new machine was removed"
    return (
        f"The new machine is kept on {literal(given_up.destination)}, shut off also where it was"
        " to be kept running: it has the MAC addresses of the one that runs on the source."
        " Never start both"
    )
