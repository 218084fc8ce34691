# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tradewind.host.domain import backup
from tradewind.host.domain.backup import NO_BITMAPS, OLD_IMAGE
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import Checkpoint, TrackedDisk
from tradewind.sources.libvirt.tracking import (
    NO_CHECKPOINT,
    NOT_COVERED,
    READ_ONLY,
    SWITCHED_OFF,
    backup_disk,
    new_checkpoint,
    no_bitmaps,
    tracking_of,
)
from tradewind.units import GiB

SINCE = Checkpoint(
    name="tradewind-1", machine_id="m", created=1, disks=(TrackedDisk(disk_id="sda", capacity=GiB),)
)


def disk(**changes: Any) -> Disk:
    return Disk.model_validate({"id": "sda", "capacity": GiB, "format": "qcow2", **changes})


def test_disk_of_the_checkpoint_is_read_by_what_changed() -> None:
    found = backup_disk(disk(), "/s", SINCE, track=True)
    assert (found.since, found.tracked, found.why) == ("tradewind-1", True, "")


@pytest.mark.parametrize(
    ("changes", "since", "track", "why"),
    [
        ({}, None, True, NO_CHECKPOINT),
        ({}, SINCE, False, SWITCHED_OFF),
        ({"id": "sdb"}, SINCE, True, NOT_COVERED),
        ({"format": "raw"}, SINCE, True, f"{NO_BITMAPS} (raw)"),
        ({"read_only": True}, SINCE, True, READ_ONLY),
        ({"read_only": True, "version": 3}, SINCE, True, READ_ONLY),
        ({"version": 2}, SINCE, True, OLD_IMAGE),
        ({"capacity": 2 * GiB}, SINCE, True, "it was resized from 1.0 GiB to 2.0 GiB"),
    ],
)
def test_any_other_disk_is_read_in_full_and_says_why(
    changes: dict[str, Any], since: Checkpoint | None, track: bool, why: str
) -> None:
    found = backup_disk(disk(**changes), "/s", since, track=track)
    assert (found.since, found.why) == (None, why)
    assert found.tracked is (track and not no_bitmaps(disk(**changes)))
    assert tracking_of([found])[0].reason == why


@pytest.mark.parametrize("changes", [{"read_only": True}, {"version": 2}, {"format": "raw"}])
def test_no_checkpoint_is_asked_for_on_what_cannot_keep_one(changes: dict[str, Any]) -> None:
    """Libvirt would refuse the whole backup job, the disks that can be tracked with it."""
    read = [
        backup_disk(disk(id="sda"), "/s", None, track=True),
        backup_disk(disk(id="sdb", **changes), "/s", None, track=True),
    ]
    assert backup.BackupRequest("/nbd", read, checkpoint="tradewind-2").tracked == ("sda",)
    assert [each.tracked for each in read] == [True, False]


def test_new_checkpoint_covers_what_can_be_tracked() -> None:
    disks = (disk(), disk(id="sdb", format="raw"))
    machine = VirtualMachine(id="m", name="web", vcpus=1, memory=GiB, disks=disks)
    read = [backup_disk(each, "/s", None, track=True) for each in disks]
    made = new_checkpoint("tradewind-2", 7, machine, read)
    assert made is not None
    assert [each.disk_id for each in made.disks] == ["sda"]
    assert made.of(["sdb"]).disks == ()
    assert new_checkpoint("tradewind-2", 7, machine, read[1:]) is None
