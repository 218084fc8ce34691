# SPDX-License-Identifier: Apache-2.0
"""What a volume says of itself."""

from datetime import UTC, datetime

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import BusyError
from tradewind.host import storage
from tradewind.host.storage import witness
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume, Volume, WitnessState
from tradewind.units import MiB

RUN = Run(id="0123456789ab", transfer="cafe0001", begun=datetime(2026, 1, 2, tzinfo=UTC))
LATER = Run(id="ba9876543210", transfer="cafe0001", begun=datetime(2026, 1, 3, tzinfo=UTC))


def replica(host: FakeConnection, pool: str = "fast") -> ReplicaVolume:
    form = "raw" if pool == "vg" else "qcow2"
    volume = Volume(pool=pool, name=f"web01-cafe0001-sda.{form}", capacity=MiB, format=form)
    storage.create_volume(host, volume)
    return ReplicaVolume(
        disk_id="sda", volume=volume, serial="tw0", blank=True, base="c", exact=True
    )


def written(
    host: FakeConnection, run: Run, volume: ReplicaVolume, state: WitnessState
) -> ReplicaVolume:
    (opened,) = witness.opened(host, run, [volume])
    witness.write(host, run, opened, state, lambda: "images")
    return opened


@pytest.mark.parametrize("pool", ["fast", "vg"])
def test_what_is_written_is_read(host: FakeConnection, pool: str) -> None:
    volume = replica(host, pool)
    assert witness.read(host, volume.volume) is None
    first = written(host, RUN, volume, WitnessState.BLANK)
    assert (first.generation, first.writer) == (1, RUN.id)
    second = written(host, LATER, first, WitnessState.COMPLETE)
    said = witness.read(host, volume.volume)
    assert said is not None
    assert (said.transfer, said.generation, said.run) == ("cafe0001", 2, LATER.id)
    assert said.state is WitnessState.COMPLETE
    name = volume.volume.name if pool == "fast" else f"vg-{volume.volume.name}"
    there = storage.require_volume(
        host, "fast" if pool == "fast" else "images", f"{name}.tradewind"
    )
    assert storage.describe_volume(there).capacity == storage.NOTE
    assert witness.examine(host, "cafe0001", [second]).doubted == ()
    witness.remove(host, volume.volume)
    assert witness.read(host, volume.volume) is None


def test_number_is_past_all_there_were(host: FakeConnection) -> None:
    """Of an older ledger, and of one that is newer than the volume."""
    first = written(host, RUN, replica(host), WitnessState.COMPLETE)
    for _ in range(3):
        last = written(host, LATER, first, WitnessState.COMPLETE)
    assert last.generation == 4
    ahead = first.model_copy(update={"generation": 9})
    (opened,) = witness.opened(host, LATER, [ahead])
    assert opened.generation == 10


@pytest.mark.parametrize(
    "changes", [{"generation": 7}, {"writer": LATER.id}, {"generation": 0, "writer": ""}]
)
def test_other_generation_or_writer_is_doubted(
    host: FakeConnection, changes: dict[str, object]
) -> None:
    mine = written(host, RUN, replica(host), WitnessState.COMPLETE)
    examined = witness.examine(host, "cafe0001", [mine.model_copy(update=changes)])
    (volume,) = examined.volumes
    assert (volume.blank, volume.base, volume.exact) == (False, None, False)
    assert examined.doubted == ("sda",)
    (note,) = examined.notes
    assert f"generation 1, complete, by run {RUN.id}" in note
    assert "the ledger knows generation" in note


@pytest.mark.parametrize("content", [b"", b"{}", bytes(512), b"\xff" * 512, b"[" * 512])
def test_witness_that_cannot_be_read_counts_as_missing(
    host: FakeConnection, content: bytes
) -> None:
    mine = written(host, RUN, replica(host), WitnessState.COMPLETE)
    host.host.contents[f"/pools/fast/{mine.volume.name}.tradewind"][:] = content
    assert witness.read(host, mine.volume) is None
    examined = witness.examine(host, "cafe0001", [mine])
    assert examined.doubted == ("sda",)
    assert "is gone" in examined.notes[0]


def test_large_file_of_that_name_is_not_read(host: FakeConnection) -> None:
    mine = replica(host)
    large = Volume(pool="fast", name=f"{mine.volume.name}.tradewind", capacity=600, format="raw")
    storage.create_volume(host, large)
    assert witness.read(host, mine.volume) is None
    with pytest.raises(ValueError, match="is no note of 512 bytes"):
        witness.write(host, RUN, mine, WitnessState.BLANK, lambda: "images")


def test_foreign_volume_is_never_opened(host: FakeConnection) -> None:
    mine = written(host, RUN, replica(host), WitnessState.COMPLETE)
    stranger = LATER.model_copy(update={"transfer": "beef0002"})
    for ask in (
        lambda: witness.opened(host, stranger, [mine]),
        lambda: witness.examine(host, "beef0002", [mine]),
        lambda: witness.require_known(host, "beef0002", [mine]),
    ):
        with pytest.raises(BusyError, match="belongs to transfer cafe0001") as caught:
            ask()
        assert "disk sda of transfer beef0002" in caught.value.message


def test_copied_witness_does_not_speak_for_another_volume(host: FakeConnection) -> None:
    mine = written(host, RUN, replica(host), WitnessState.COMPLETE)
    other = Volume(pool="fast", name="web01-cafe0001-sdb.qcow2", capacity=MiB, format="qcow2")
    storage.create_volume(host, other)
    note = Volume(pool="fast", name=f"{other.name}.tradewind", capacity=512, format="raw")
    storage.create_volume(host, note)
    said = bytes(host.host.contents[f"/pools/fast/{mine.volume.name}.tradewind"])
    storage.upload_bytes(host, note, said)
    second = mine.model_copy(update={"disk_id": "sdb", "volume": other})
    with pytest.raises(BusyError, match=r"fast/web01-cafe0001-sda\.qcow2"):
        witness.examine(host, "cafe0001", [second])


def test_witness_without_its_volume_is_an_orphan(host: FakeConnection) -> None:
    first = written(host, RUN, replica(host), WitnessState.COMPLETE)
    block = written(host, RUN, replica(host, "vg"), WitnessState.COMPLETE)
    assert list(witness.orphans(host)) == []
    storage.delete_volume(host, "fast", first.volume.name)
    ((pool, name, said),) = witness.orphans(host)
    assert (pool, name) == ("fast", f"{first.volume.name}.tradewind")
    assert said.volume == first.volume.name
    storage.delete_volume(host, "vg", block.volume.name)
    assert {name for _, name, _ in witness.orphans(host)} == {
        f"{first.volume.name}.tradewind",
        f"vg-{block.volume.name}.tradewind",
    }
