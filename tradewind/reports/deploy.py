# SPDX-License-Identifier: Apache-2.0
"""Reports of deployments and rehearsals."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradewind.model.guest import Outcome, StepReport
from tradewind.model.proof import BootProof, KeptEvidence, SystemdState
from tradewind.model.report import DeployReport, FailedBoot
from tradewind.model.scripts import ScriptReport
from tradewind.plain_text import excerpt
from tradewind.reports.markdown import bullets, code, fenced, literal
from tradewind.units import KiB, human_duration

# An artifact is a row of Prefect's database: a larger picture is only named, not shown.
LARGEST_PICTURE: Final = 512 * KiB


def deploy_markdown(report: DeployReport) -> str:
    """Write the deployment report: what needs somebody's attention first."""
    kept = report.proof.kept if report.proof else KeptEvidence()
    return f"""# {literal(_headline(report))}

{_proof(report.proof)}
{bullets("Not done, or not as asked", _open_points(report))}
## What was changed in the guest ({literal(report.guest)})

{_changes(report.steps)}{_scripts(report)}{_facts(report)}{_screen(kept)}"""


def _changes(steps: Sequence[StepReport]) -> str:
    """Write a row for what was changed or not done, and a line for what needed nothing."""
    told = [each for each in steps if _matters(each.outcome)]
    idle = [each for each in steps if not _matters(each.outcome)]
    if not steps:
        return "The guest was left as it is.\n"
    rows = "\n".join(map(_step_row, told))
    table = f"| step | what | why | took |\n|---|---|---|---|\n{rows}\n" if told else ""
    nothing = [f"{literal(each.step)}: {literal(each.outcome.summary)}" for each in idle]
    return table + bullets("Nothing to change", nothing, level=3)


def _matters(outcome: Outcome) -> bool:
    return outcome.changed or not outcome.done or bool(outcome.remedy)


def _step_row(each: StepReport) -> str:
    """Write one line of the table; what a command printed has lines and bars of its own."""
    done = "" if each.outcome.done else "**NOT DONE** "
    return (
        f"| {literal(each.step)} | {done}{literal(each.outcome.summary)} | {literal(each.purpose)}"
        f" | {human_duration(each.seconds)} |"
    )


def failed_boot_markdown(failed: FailedBoot) -> str:
    """Write what a machine showed that did not prove its boot."""
    return f"""# {literal(failed.domain)} did not boot on {literal(failed.destination)}

**{literal(failed.fate)}**

{fenced(failed.why)}{_screen(failed.kept)}"""


def _headline(report: DeployReport) -> str:
    if report.rehearsal:
        return f"Rehearsal: {report.machine} boots on {report.destination}"
    word = "runs" if report.started else "is defined"
    return f"{report.machine} {word} on {report.destination} as {report.domain}"


def _scripts(report: DeployReport) -> str:
    """Write what came of the operator's own scripts, with the end of what each printed."""
    every = _every_script(report)
    if not every:
        return ""
    rows = "\n".join(
        f"| {literal(each.name)} | {each.phase} | {'**' * each.failed}{literal(each.outcome)}"
        f"{'**' * each.failed} | {human_duration(each.seconds) if each.seconds else '–'} |"
        for each in every
    )
    printed = "".join(
        f"\n{literal(each.name)} printed:\n\n{fenced(excerpt(each.output))}"
        for each in every
        if each.output.strip()
    )
    return f"""
## Scripts

| script | phase | outcome | took |
|---|---|---|---|
{rows}
{printed}"""


def _facts(report: DeployReport) -> str:
    lines = [
        f"Disks: {_disks(report)}.",
        *([f"Rehearsal: {literal(report.rehearsal)}."] if report.rehearsal else []),
        f"Starts with its host: {'yes' if report.autostart else 'no'}.",
        f"Took {human_duration(report.seconds)}.",
        f"{report.word.capitalize()} {code(report.deployment)}.",
    ]
    return bullets(f"The {report.word}", lines)


def _disks(report: DeployReport) -> str:
    if report.cloned:
        return "cloned; the replica is untouched"
    return "the replica itself was used; the next transfer is full"


def _open_points(report: DeployReport) -> list[str]:
    """List what was not done, what falls short, and what is left to do, each with its remedy."""
    remedies = [
        f"{each.step}: {each.outcome.summary} → {each.outcome.remedy}"
        for each in report.steps
        if each.outcome.remedy and each.outcome.done
    ]
    note = report.proof.kept.note if report.proof else ""
    return [
        literal(line)
        for line in (*_bad_scripts(report), *report.shortfalls, *remedies, note)
        if line
    ]


def _bad_scripts(report: DeployReport) -> list[str]:
    return [
        f"script {each.name} ({each.phase}): {each.outcome}"
        for each in _every_script(report)
        if each.failed or each.status is None
    ]


def _every_script(report: DeployReport) -> tuple[ScriptReport, ...]:
    return (*report.scripts, *(report.proof.first_boot if report.proof else ()))


def _proof(proof: BootProof | None) -> str:
    if proof is None:
        return "Its boot was not watched."
    lines = [*map(literal, proof.lines), *_systemd(proof.systemd)]
    evidence = "\n".join(f"- {line}" for line in lines)
    return (
        f"It booted in {human_duration(proof.seconds)}, proven by its"
        f" {proof.evidence}:\n\n{evidence}"
    )


def _systemd(systemd: SystemdState) -> list[str]:
    lines = [f"systemd: **{literal(systemd.state)}**"] if systemd.state else []
    if systemd.failed:
        lines[-1] += f"; failed units: {', '.join(map(literal, systemd.failed))}"
    if systemd.waiting:
        lines[-1] += f"; still being started: {', '.join(map(literal, systemd.waiting))}"
    return [*lines, literal(systemd.note)] if systemd.note else lines


def _screen(kept: KeptEvidence) -> str:
    """Write what console and screen showed last, and where that is kept."""
    console = (
        f"\n## What its console printed last\n\n{fenced(kept.console)}" if kept.console else ""
    )
    where = f"\nConsole and screenshot are kept in {code(kept.folder)}.\n" if kept.folder else ""
    return console + where


def picture(kept: KeptEvidence) -> str:
    """Show the screenshot in the page itself: whoever reads it may have no way to the file."""
    file = Path(kept.screenshot)
    if not kept.screenshot or not file.is_file() or file.stat().st_size > LARGEST_PICTURE:
        return ""
    picture = base64.b64encode(file.read_bytes()).decode()
    return f"\n## What its screen showed\n\n![screenshot](data:image/png;base64,{picture})\n"
