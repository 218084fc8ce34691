# SPDX-License-Identifier: Apache-2.0
"""The words of reports about deployments, whole, as files; and what a guest may not do in them."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from tradewind.model.guest import Outcome, StepReport
from tradewind.model.ledger import RunKind
from tradewind.model.proof import BootEvidence, BootProof, KeptEvidence, SystemdState
from tradewind.model.report import DeployReport, FailedBoot
from tradewind.model.scripts import ScriptPhase, ScriptReport
from tradewind.reports.deploy import deploy_markdown, failed_boot_markdown, picture
from tradewind.reports.stored import markdown_of

GOLDEN = Path(__file__).parents[2] / "golden" / "reports"
RUN = "0123456789ab"
KEPT = KeptEvidence(
    folder=f"/var/evidence/2026-11-24-web01-{RUN}",
    screenshot=f"/var/evidence/2026-11-24-web01-{RUN}/screenshot.png",
    console="GRUB loading.\nDebian GNU/Linux 12 web01 ttyS0\nweb01 login:",
)


def same_as_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.md"
    if os.environ.get("TRADEWIND_REGENERATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def proof(**changes: Any) -> BootProof:
    plain: dict[str, Any] = {
        "evidence": BootEvidence.AGENT,
        "lines": ("agent: Debian GNU/Linux 12, kernel 6.1.0-28", "addresses: 198.18.5.7"),
        "addresses": ("198.18.5.7",),
        "seconds": 72.0,
        "systemd": SystemdState(state="degraded", failed=("exim4.service", "nfs.mount")),
        "kept": KEPT,
    }
    return BootProof.model_validate({**plain, **changes})


def deployment(**changes: Any) -> DeployReport:
    outcome = Outcome(changed=True, summary="virtio drivers are in initrd.img-6.1.0-28-amd64")
    remedy = Outcome(changed=False, summary="no mirror was reachable", remedy="install it by hand")
    plain: dict[str, Any] = {
        "deployment": RUN,
        "machine": "web01",
        "domain": "web01-new",
        "destination": "kvm1",
        "cloned": True,
        "guest": "Debian GNU/Linux 12 (bookworm)",
        "steps": (
            StepReport(step="initramfs", purpose="Rebuild it.", outcome=outcome, seconds=31.0),
            StepReport(step="cloud-init", purpose="Install it.", outcome=remedy, seconds=2.5),
            StepReport(
                step="xen-tools",
                purpose="Remove them.",
                outcome=Outcome(changed=False, summary="none are installed"),
                seconds=0.4,
            ),
        ),
        "proof": proof(),
        "worker_seconds_to_ssh": 41.3,
        "seconds": 301.0,
        "shortfalls": ("CPU feature invtsc is left out: it blocks live migration.",),
    }
    return DeployReport.model_validate({**plain, **changes})


def test_deployment() -> None:
    same_as_golden("deployment", deploy_markdown(deployment()))


def test_deployment_without_morphing_or_proof() -> None:
    bare = deployment(
        cloned=False,
        guest="not looked at",
        steps=(),
        proof=None,
        worker_seconds_to_ssh=None,
        shortfalls=(),
    )
    same_as_golden("deployment-bare", deploy_markdown(bare))


def test_rehearsal() -> None:
    gone = "on network tradewind-0123456789ab-rehearsal, which nothing leaves; all of it is removed"
    same_as_golden("rehearsal", deploy_markdown(deployment(rehearsal=gone)))


def test_scripts() -> None:
    ran = [
        script("10-check", ScriptPhase.BEFORE_MOUNT, output="all disks are here"),
        script("20-ntp", ScriptPhase.AFTER_MOUNT, status=3, output="no `ntp`\n```"),
    ]
    first = script("join", ScriptPhase.FIRST_BOOT, status=None, output="no guest agent answers")
    report = deployment(scripts=ran, proof=proof(first_boot=(first,)))
    same_as_golden("deployment-scripts", deploy_markdown(report))


def script(name: str, phase: ScriptPhase, **changes: Any) -> ScriptReport:
    plain: dict[str, Any] = {"name": name, "phase": phase, "status": 0, "seconds": 2.5}
    return ScriptReport.model_validate({**plain, **changes})


def failed() -> FailedBoot:
    return FailedBoot(
        machine="web01",
        domain="web01-new",
        destination="kvm1",
        why="machine web01-new proves that it booted: not within 600 s",
        fate="web01-new is shut off and kept",
        kept=KEPT,
    )


def test_failed_boot() -> None:
    same_as_golden("failed-boot", failed_boot_markdown(failed()))


def test_stored_reports_read_as_they_did() -> None:
    deployed = deployment()
    assert markdown_of(RunKind.DEPLOYMENT, deployed.model_dump_json()) == deploy_markdown(deployed)


def test_a_guest_cannot_write_into_the_report() -> None:
    trap = "![x](https://example.org/spy.png) <img src=x> | **bold**"
    console = "```\n# not a heading\n````\n" + trap
    text = deploy_markdown(
        deployment(
            guest=trap,
            proof=proof(
                lines=(trap,),
                systemd=SystemdState(state=trap, failed=(trap,)),
                kept=KeptEvidence(console=console),
            ),
        )
    )
    outside, _, inside = text.partition("`````text\n")
    assert "![x]" not in outside
    assert "<img" not in outside.replace("\\<img", "")
    assert inside.startswith(console + "\n`````\n")


@pytest.mark.parametrize(("size", "shown"), [(100, True), (600_000, False)])
def test_a_picture_is_in_the_page_unless_it_is_large(
    tmp_path: Path, size: int, shown: bool
) -> None:
    file = tmp_path / "screenshot.png"
    file.write_bytes(b"\x89PNG" + bytes(size))
    text = picture(KeptEvidence(screenshot=str(file)))
    packed = base64.b64encode(file.read_bytes()).decode()
    assert (f"(data:image/png;base64,{packed})" in text) is shown
    assert picture(KeptEvidence(screenshot=str(tmp_path / "gone.png"))) == ""
