# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tradewind.host.backup import NO_BITMAPS
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import Checkpoint, TrackedDisk
from tradewind.sources.tracking import (
    NO_CHECKPOINT,
    NOT_COVERED,
    SWITCHED_OFF,
    backup_disk,
    new_checkpoint,
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
        ({"capacity": 2 * GiB}, SINCE, True, "it was resized from 1.0 GiB to 2.0 GiB"),
    ],
)
def test_any_other_disk_is_read_in_full_and_says_why(
    changes: dict[str, Any], since: Checkpoint | None, track: bool, why: str
) -> None:
    found = backup_disk(disk(**changes), "/s", since, track=track)
    assert (found.since, found.why) == (None, why)
    assert found.tracked is (track and changes.get("format") != "raw")
    assert tracking_of([found])[0].reason == why


def test_new_checkpoint_covers_what_can_be_tracked() -> None:
    disks = (disk(), disk(id="sdb", format="raw"))
    machine = VirtualMachine(id="m", name="web", vcpus=1, memory=GiB, disks=disks)
    read = [backup_disk(each, "/s", None, track=True) for each in disks]
    made = new_checkpoint("tradewind-2", 7, machine, read)
    assert made is not None
    assert [each.disk_id for each in made.disks] == ["sda"]
    assert made.of(["sdb"]).disks == ()
    assert new_checkpoint("tradewind-2", 7, machine, read[1:]) is None
