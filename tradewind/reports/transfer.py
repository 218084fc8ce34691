# SPDX-License-Identifier: Apache-2.0
"""The report of a transfer."""

from tradewind.model.report import TransferReport
from tradewind.model.storage import Tracking
from tradewind.reports.markdown import bullets, code, literal
from tradewind.units import human_duration, human_rate, human_size


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
    looked_at = {each.disk_id: each for each in report.tracking}
    rows = "\n".join(
        f"| {literal(disk.disk_id)} | {_looked_at(looked_at.get(disk.disk_id))}"
        f" | {human_size(disk.capacity)} | {human_size(disk.read)}"
        f" | {human_size(disk.sent)} | {human_size(disk.on_wire)} | {human_size(disk.zeroed)}"
        f" | {human_size(disk.same)}"
        f" | {human_size(disk.verified)} | {human_rate(disk.read, disk.seconds)} |"
        for disk in report.disks
    )
    return f"""# {literal(report.machine)} → {literal(report.destination)}

{transfer_headline(report)}

| disk | looked at | size | read | sent | on the wire | zeroed | already equal | verified | rate |
|---|---|---|---|---|---|---|---|---|---|
{rows}

- Point in time: {_moment(report)}{literal(report.consistency)}.
{_reasons(report)}- Verified: every range that was written was read back from the destination \
after the flush, and its digest compared with what was read from the source.
- Volumes: {_volumes(report)}.
- Took {human_duration(report.seconds)}: worker reachable after \
{human_duration(report.worker_seconds_to_ssh)}, stream {human_duration(report.stream_seconds)}.
- Behind its source when it ended: at most {human_duration(report.seconds)}.
- Peak memory of this process: {human_size(report.peak_memory)}.
- Transfer {code(report.transfer)}, run {code(report.run)}.
{bullets("Notes", [literal(note) for note in report.notes])}"""


def _moment(report: TransferReport) -> str:
    return f"{report.moment:%Y-%m-%d %H:%M:%S} UTC, " if report.moment else ""


def _looked_at(tracking: Tracking | None) -> str:
    return "changes" if tracking is not None and tracking.since else "all"


def _reasons(report: TransferReport) -> str:
    """Return why disks were looked at in full, each reason once."""
    reasons = dict.fromkeys(each.reason for each in report.tracking if each.reason)
    return "".join(
        f"- All of {_disks_with(reason, report)} was looked at: {literal(reason)}.\n"
        for reason in reasons
    )


def _disks_with(reason: str, report: TransferReport) -> str:
    return ", ".join(literal(each.disk_id) for each in report.tracking if each.reason == reason)


def _volumes(report: TransferReport) -> str:
    counts = {
        "renamed": len(report.plan.rename),
        "created": len(report.plan.create),
        "grown": len(report.plan.grow),
        "kept": len(report.plan.keep),
        "deleted": len(report.plan.delete),
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"


def _capacity(report: TransferReport) -> int:
    return sum(disk.capacity for disk in report.disks)
