# SPDX-License-Identifier: Apache-2.0
"""Reports of whole moves."""

from tradewind.model.cutover import SettledMove
from tradewind.model.migrate import GivenUp, MigrateReport
from tradewind.model.outage import OutageEnd
from tradewind.model.proof import BootProof
from tradewind.reports.markdown import bullets, fenced, literal
from tradewind.units import human_duration, human_size


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


def settled_markdown(settled: SettledMove) -> str:
    """Write how an unfinished move ended."""
    where = settled.destination if settled.end is OutageEnd.MOVED else settled.source
    since = f"{settled.since:%Y-%m-%d %H:%M} UTC"
    return f"""# {literal(settled.machine)}: {settled.end}

The outage that began {since} is over; the machine in charge is on {literal(where)}.
{bullets("Notes", [literal(note) for note in settled.notes])}"""
