# SPDX-License-Identifier: Apache-2.0
"""Progress artifacts: one for each disk, told every few seconds."""

import re
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.actions import ArtifactCreate

from tasks.transfer import progress
from tasks.transfer.progress import ProgressArtifacts, artifact_key, describe
from tradewind.model.progress import DiskProgress
from tradewind.units import GiB, MiB


def at(done: float, disk: str = "sda", seconds: float = 10) -> DiskProgress:
    return DiskProgress(
        disk_id=disk,
        total=20 * GiB,
        done=int(done * GiB),
        sent=512 * MiB,
        seconds=seconds,
    )


class Told:
    """What Prefect was told, and a clock that we turn."""

    def __init__(self) -> None:
        self.created: dict[UUID, tuple[str, float]] = {}
        self.updated: list[tuple[UUID, float, str]] = []
        self.now = 1000.0

    def create(self, percent: float, *, key: str, description: str) -> UUID:
        made = uuid4()
        self.created[made] = (key, percent)
        return made

    def update(self, artifact: UUID, percent: float, *, description: str) -> None:
        self.updated.append((artifact, percent, description))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(progress, "create_progress_artifact", told.create)
    monkeypatch.setattr(progress, "update_progress_artifact", told.update)
    monkeypatch.setattr("tasks.transfer.progress.time.monotonic", lambda: told.now)
    return told


def test_each_disk_has_its_own_artifact(told: Told) -> None:
    listen = ProgressArtifacts("web-01")
    listen(at(5, "sda"))
    listen(at(10, "sdb"))
    assert list(told.created.values()) == [("disk-web-01-sda", 25.0), ("disk-web-01-sdb", 50.0)]


def test_it_is_not_told_more_often_than_a_person_reads(told: Told) -> None:
    listen = ProgressArtifacts("web01")
    for step in range(100):
        told.now = 1000 + step / 10
        listen(at(step / 100))
    assert len(told.created) == 1
    assert len(told.updated) == 3  # in ten seconds, after the first word


def test_the_end_is_always_told(told: Told) -> None:
    listen = ProgressArtifacts("web01")
    listen(at(1))
    listen(at(20))
    assert [percent for _, percent, _ in told.updated] == [100.0]


def test_empty_disk_is_done_at_once(told: Told) -> None:
    ProgressArtifacts("web01")(DiskProgress(disk_id="sda", total=0, done=0, sent=0, seconds=0.0))
    assert list(told.created.values()) == [("disk-web01-sda", 100.0)]


def test_upload_is_told_like_a_disk(told: Told) -> None:
    listen = ProgressArtifacts("worker.qcow2").of_upload("worker.qcow2")
    told.now += 2
    listen(50 * MiB, 200 * MiB)
    told.now += 4
    listen(100 * MiB, 200 * MiB)
    assert list(told.created.values()) == [
        (artifact_key("disk", "worker.qcow2", "worker.qcow2"), 25.0)
    ]
    assert told.updated[0][2].endswith("16.7 MiB/s, 100.0 MiB sent, 6.0 s left")


@pytest.mark.parametrize(
    ("moment", "line"),
    [
        (
            at(5),
            "5.0 GiB of 20.0 GiB, 512.0 MiB/s, 512.0 MiB sent, 30.0 s left",
        ),
        (at(20), "20.0 GiB of 20.0 GiB, 2.0 GiB/s, 512.0 MiB sent"),
        (at(0, seconds=0), "0 B of 20.0 GiB, 0 B/s, 512.0 MiB sent"),
    ],
)
def test_line(moment: DiskProgress, line: str) -> None:
    assert describe(moment) == line


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("disk", "web-01", "sda"), "disk-web-01-sda"),
        (("disk", "Web_01.example", "sda"), r"disk-web-01-example-sda-[0-9a-f]{8}"),
        (("transfer", "Ümläut (alt)"), r"transfer-ml-ut-alt-[0-9a-f]{8}"),
        (("transfer", "数据库"), r"transfer-[0-9a-f]{8}"),
    ],
)
def test_keys_as_prefect_wants_them(parts: tuple[str, ...], key: str) -> None:
    assert re.fullmatch(key, artifact_key(*parts))
    ArtifactCreate(key=artifact_key(*parts))


def test_two_machines_have_two_keys() -> None:
    names = ["web-1", "web_1", "Web-1", "web.1", "web 1", "数据库", "データ", ""]
    assert len({artifact_key("transfer", name) for name in names}) == len(names)
