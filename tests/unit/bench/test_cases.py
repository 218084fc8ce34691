# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from bench.cases import Case, random_disk, sparse_disk
from bench.ours import MovedDisk, changes
from tradewind.model.storage import ExtentKind
from tradewind.units import GiB, KiB, MiB


def test_changes_are_aligned_sorted_and_as_many_as_asked_for(tmp_path: Path) -> None:
    case = Case("", (random_disk(tmp_path, 16 * MiB),), changed=0.1)
    changes = case.changes()
    assert changes is not None
    assert list(changes) == sorted(set(changes))
    assert len(changes) == round(16 * MiB / (64 * KiB) * 0.1)
    assert all(start % (64 * KiB) == 0 for start, _ in changes)
    assert changes == case.changes()


def test_changes_keep_to_their_grid(tmp_path: Path) -> None:
    case = Case("", (sparse_disk(tmp_path),), changed=0.00001, grid=512 * MiB)
    changes = case.changes()
    assert changes
    assert all(start % (512 * MiB) == 0 for start, _ in changes)
    assert case.size == 16 * GiB


def test_what_did_not_change_is_clean() -> None:
    disk = MovedDisk(socket=Path("s"), size=100, changed=((0, 10), (50, 10)))
    assert [(e.start, e.length, e.kind is ExtentKind.CLEAN) for e in changes(disk)] == [
        (0, 10, False),
        (10, 40, True),
        (50, 10, False),
        (60, 40, True),
    ]
