# SPDX-License-Identifier: Apache-2.0
"""What every data source promises. A source's tests subclass this and give a `case`."""

from dataclasses import dataclass

import pytest

from tradewind.errors import CheckpointLostError, NotFoundError
from tradewind.model.storage import Checkpoint, ExtentKind
from tradewind.ports import DataSource


@dataclass(frozen=True)
class SourceCase:
    """A source, one machine in it that nothing writes to, and what its disks hold, in order."""

    source: DataSource
    machine_id: str
    contents: list[bytes]


class DataSourceContract:
    @pytest.fixture
    def case(self) -> SourceCase:
        raise NotImplementedError

    def test_lists_the_machine(self, case: SourceCase) -> None:
        assert case.machine_id in [summary.id for summary in case.source.machines()]

    def test_inspects_its_disks_in_order(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        assert [disk.capacity for disk in machine.disks] == [len(each) for each in case.contents]
        assert len({disk.id for disk in machine.disks}) == len(machine.disks)
        assert machine == case.source.inspect(case.machine_id)

    def test_an_unknown_machine_is_named_with_the_ones_there_are(self, case: SourceCase) -> None:
        with pytest.raises(NotFoundError) as caught:
            case.source.inspect("no-such-machine")
        assert "no-such-machine" in caught.value.message
        assert case.machine_id in caught.value.hint

    def test_extents_cover_every_byte_once_in_order(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, "run-1") as snapshot:
            for disk in machine.disks:
                position = 0
                for extent in snapshot.extents(disk):
                    assert extent.start == position
                    assert extent.length > 0
                    position = extent.end
                assert position == disk.capacity

    def test_zero_extents_read_as_zero(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, "run-1") as snapshot:
            for disk, content in zip(machine.disks, case.contents, strict=True):
                zero = [e for e in snapshot.extents(disk) if e.kind is ExtentKind.ZERO]
                assert zero, "the case has to have a disk with holes"
                for extent in zero:
                    assert content.count(0, extent.start, extent.end) == extent.length

    def test_reads_what_is_there_and_again_the_same(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, "run-1") as snapshot:
            for disk, content in zip(machine.disks, case.contents, strict=True):
                with snapshot.open(disk) as one, snapshot.open(disk) as other:
                    for reader in (one, other, one):
                        buffer = bytearray(disk.capacity)
                        reader.readinto(memoryview(buffer), 0)
                        assert buffer == content

    def test_reads_into_the_middle_of_a_buffer(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        buffer = bytearray(b"\xff" * 3000)
        with (
            case.source.snapshot(machine, "run-1") as snapshot,
            snapshot.open(machine.disks[0]) as reader,
        ):
            reader.readinto(memoryview(buffer)[1000:2024], 512)
        assert buffer[1000:2024] == case.contents[0][512 : 512 + 1024]
        assert set(buffer[:1000] + buffer[2024:]) == {0xFF}

    def test_says_how_consistent_it_is(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, "run-1") as snapshot:
            assert snapshot.consistency

    def test_a_checkpoint_it_does_not_know_is_reported_as_lost(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        since = Checkpoint(name="never-was", machine_id=machine.id)
        with pytest.raises(CheckpointLostError), case.source.snapshot(machine, "run-1", since):
            pass
