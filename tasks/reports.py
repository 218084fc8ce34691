# SPDX-License-Identifier: Apache-2.0
"""Reports as Markdown artifacts, and their words."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from tasks.progress import artifact_key
from tasks.step import step
from tradewind.model.ledger import RunKind
from tradewind.model.report import DeployReport, SweepReport, TransferReport
from tradewind.units import human_duration, human_rate, human_size


@step("report-{report.machine}")
def publish_transfer(report: TransferReport) -> TransferReport:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        transfer_markdown(report),
        key=artifact_key("transfer", report.machine),
        description=f"Transfer of {report.machine} to {report.destination}",
    )
    return report


@step("report-{report.machine}")
def publish_deployment(report: DeployReport) -> DeployReport:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        deploy_markdown(report),
        key=artifact_key("deploy", report.machine),
        description=f"Deployment of {report.machine} on {report.destination}",
    )
    return report


@step("report-sweep-{report.endpoint}")
def publish_sweep(report: SweepReport, *, dry_run: bool) -> SweepReport:
    """Put the report where Prefect's UI shows it."""
    create_markdown_artifact(
        sweep_markdown([report], dry_run=dry_run),
        key=artifact_key("sweep", report.endpoint),
        description=f"Sweep of {report.endpoint}",
    )
    return report


def sweep_markdown(reports: Sequence[SweepReport], *, dry_run: bool = False) -> str:
    """Write the sweep report."""
    removed = "Would be removed: nobody's any more" if dry_run else "Removed: nobody's any more"
    parts = []
    for report in reports:
        parts.append(f"# {report.endpoint}\n")
        if not (report.dead or report.alive or report.finished or report.unknown):
            parts.append("Clean: nothing temporary is there.\n")
        parts.append(_list(removed, tuple(map(str, report.dead))))
        parts.append(_list("Left alone: its run is alive", tuple(map(str, report.alive))))
        parts.append(_list("Left alone: its run ended well", tuple(map(str, report.finished))))
        parts.append(
            _list("Left alone: this ledger does not know its run", tuple(map(str, report.unknown)))
        )
    return "\n".join(part for part in parts if part)


def markdown_of(kind: RunKind, report: str) -> str:
    """Write a report that was stored as JSON."""
    match kind:
        case RunKind.EXECUTION:
            return transfer_markdown(TransferReport.model_validate_json(report))
        case RunKind.DEPLOYMENT:
            return deploy_markdown(DeployReport.model_validate_json(report))


def transfer_headline(report: TransferReport) -> str:
    """Say in one sentence what the execution came to."""
    sent = human_size(report.sent)
    if report.full:
        return f"Full transfer: {sent} sent of {human_size(_capacity(report))}."
    if report.sent == 0 and not any(disk.zeroed for disk in report.disks):
        return "Nothing had changed: nothing was sent."
    return f"Brought up to date: {sent} had changed and were sent."


def transfer_markdown(report: TransferReport) -> str:
    """Write the transfer report."""
    rows = "\n".join(
        f"| {disk.disk_id} | {human_size(disk.capacity)} | {human_size(disk.read)}"
        f" | {human_size(disk.sent)} | {human_size(disk.zeroed)} | {human_size(disk.same)}"
        f" | {human_size(disk.verified)} | {human_rate(disk.read, disk.seconds)} |"
        for disk in report.disks
    )
    return f"""# {report.machine} → {report.destination}

{transfer_headline(report)}

| disk | size | read | sent | zeroed | already equal | verified | rate |
|---|---|---|---|---|---|---|---|
{rows}

- Point in time: {report.consistency}.
- Verified: every range that was written was read back from the destination's volume after the \
flush, and its BLAKE2b digest compared with what was read from the source.
- Volumes: {_volumes(report)}.
- Took {human_duration(report.seconds)}: worker reachable after \
{human_duration(report.worker_seconds_to_ssh)}, stream {human_duration(report.stream_seconds)}.
- Peak memory of this process: {human_size(report.peak_memory)}.
- Transfer `{report.transfer}`, run `{report.run}`.
{_list("Notes", report.notes)}"""


def deploy_markdown(report: DeployReport) -> str:
    """Write the deployment report."""
    steps = "\n".join(
        f"| {step.step} | {'yes' if step.outcome.changed else 'no'} | {step.outcome.summary}"
        f"{f' → {step.outcome.remedy}' if step.outcome.remedy else ''}"
        f" | {step.purpose} | {human_duration(step.seconds)} |"
        for step in report.steps
    )
    word = "runs" if report.started else "is defined"
    return f"""# {report.machine} {word} on {report.destination} as {report.domain}

{_proof(report)}

## What was changed in the guest ({report.guest})

| step | changed | what | why | took |
|---|---|---|---|---|
{steps or "| – | no | the guest was left as it is | | |"}

- Disks: {"cloned; the replica is untouched" if report.cloned else "the replica itself was used"}.
- Took {human_duration(report.seconds)}.
- Deployment `{report.deployment}`.
{_list("What falls short of the source or of the options asked for", report.shortfalls)}"""


def _proof(report: DeployReport) -> str:
    if report.proof is None:
        return "Its boot was not watched."
    evidence = "\n".join(f"- {line}" for line in report.proof.lines)
    return (
        f"It booted in {human_duration(report.proof.seconds)}, proven by its"
        f" {report.proof.evidence}:\n\n{evidence}"
    )


def _volumes(report: TransferReport) -> str:
    counts = {
        "created": len(report.plan.create),
        "grown": len(report.plan.grow),
        "kept": len(report.plan.keep),
        "deleted": len(report.plan.delete),
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"


def _capacity(report: TransferReport) -> int:
    return sum(disk.capacity for disk in report.disks)


def _list(title: str, lines: tuple[str, ...]) -> str:
    return f"\n## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" if lines else ""
