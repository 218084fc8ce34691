# SPDX-License-Identifier: Apache-2.0
"""The words of the reports, whole, as files.

`TRADEWIND_REGENERATE_GOLDEN=1 pytest tests/unit/reports` writes the files anew; read the diff.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tradewind.model.ledger import RunKind
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.progress import DiskResult
from tradewind.model.report import SweepReport, TransferReport
from tradewind.model.storage import PlannedVolume, Volume, VolumePlan
from tradewind.reports.stored import markdown_of
from tradewind.reports.sweep import sweep_markdown
from tradewind.reports.transfer import transfer_headline, transfer_markdown
from tradewind.units import GiB, MiB

GOLDEN = Path(__file__).parents[2] / "golden" / "reports"
RUN = "0123456789ab"


def same_as_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.md"
    if os.environ.get("TRADEWIND_REGENERATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def planned(disk: str, size: int) -> PlannedVolume:
    volume = Volume(pool="fast", name=f"web01-cafe0001-{disk}.qcow2", capacity=size, format="qcow2")
    return PlannedVolume(disk_id=disk, volume=volume)


def disk(name: str, **sizes: Any) -> DiskResult:
    plain: dict[str, Any] = {"capacity": 20 * GiB, "read": 0, "sent": 0, "zeroed": 0, "same": 0}
    return DiskResult.model_validate(
        {"disk_id": name, "verified": 0, "seconds": 20.0, **plain, **sizes}
    )


def transfer(**changes: Any) -> TransferReport:
    plain: dict[str, Any] = {
        "transfer": "cafe0001",
        "run": RUN,
        "machine": "web01",
        "source": "old-host",
        "destination": "kvm1",
        "full": True,
        "consistency": "guest file systems frozen by the guest agent",
        "plan": VolumePlan(create=(planned("sda", 20 * GiB), planned("sdb", 4 * GiB))),
        "disks": (
            disk("sda", read=2 * GiB, sent=GiB, wire=300 * MiB, verified=2 * GiB),
            disk("sdb", capacity=4 * GiB, read=100 * MiB, sent=100 * MiB, verified=100 * MiB),
        ),
        "worker_seconds_to_ssh": 41.3,
        "stream_seconds": 20.4,
        "seconds": 95.0,
        "peak_memory": 310 * MiB,
    }
    return TransferReport.model_validate({**plain, **changes})


def test_full_transfer() -> None:
    same_as_golden("transfer-full", transfer_markdown(transfer()))


def test_later_transfer() -> None:
    later = transfer(
        full=False,
        plan=VolumePlan(
            keep=(planned("sda", 20 * GiB),),
            grow=(planned("sdb", 5 * GiB),),
            delete=(planned("sdc", GiB),),
        ),
        disks=(disk("sda", read=20 * GiB, sent=3 * MiB, same=19 * GiB, zeroed=MiB),),
        notes=("pool fast is overcommitted",),
    )
    same_as_golden("transfer-later", transfer_markdown(later))


@pytest.mark.parametrize(
    ("full", "sent", "zeroed", "headline"),
    [
        (True, GiB, 0, "Full transfer: 1.0 GiB sent of 20.0 GiB."),
        (False, MiB, 0, "Brought up to date: 1.0 MiB had changed and were sent."),
        (False, 0, 0, "Nothing had changed: nothing was sent."),
        (False, 0, MiB, "Brought up to date: 0 B had changed and were sent."),
    ],
)
def test_headline(full: bool, sent: int, zeroed: int, headline: str) -> None:
    report = transfer(full=full, disks=(disk("sda", sent=sent, zeroed=zeroed),))
    assert transfer_headline(report) == headline


def test_stored_reports_read_as_they_did() -> None:
    moved = transfer()
    assert markdown_of(RunKind.EXECUTION, moved.model_dump_json()) == transfer_markdown(moved)


def leftover(kind: LeftoverKind, name: str, place: str = "") -> Leftover:
    return Leftover(kind=kind, run=RUN, name=name, place=place)


SWEPT = SweepReport(
    endpoint="kvm1",
    dead=(
        leftover(LeftoverKind.DOMAIN, f"tradewind-{RUN}-transfer"),
        leftover(LeftoverKind.VOLUME, f"tradewind-{RUN}-transfer.qcow2", "images"),
    ),
    alive=(leftover(LeftoverKind.BACKUP_JOB, "db01"),),
    finished=(leftover(LeftoverKind.VOLUME, f"tradewind-{RUN}-web01-sda.qcow2", "fast"),),
    unknown=(leftover(LeftoverKind.FOLDER, "/var/tmp/tradewind-ba9876543210"),),
)
CLEAN = SweepReport(endpoint="old-host", dead=(), alive=(), finished=(), unknown=())


def test_sweep() -> None:
    same_as_golden("sweep", sweep_markdown([SWEPT, CLEAN]))


def test_dry_sweep_does_not_claim_to_have_removed() -> None:
    text = sweep_markdown([SWEPT], dry_run=True)
    assert "Would be removed" in text
    assert "Removed:" not in text
    assert f"- volume tradewind-{RUN}-transfer.qcow2 in pool images" in text
