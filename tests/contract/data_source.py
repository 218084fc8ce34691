# SPDX-License-Identifier: Apache-2.0
"""What every data source promises. A source's tests subclass this and give a `case`."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tradewind.errors import NotFoundError
from tradewind.model.finding import Severity
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint, ExtentKind, TrackedDisk
from tradewind.ports import DataSource

RUN, NEXT_RUN, LAST_RUN = (
    Run(id=f"{number:012x}", transfer="cafe0001", begun=datetime.now(UTC)) for number in range(3)
)


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

    def test_overview_says_in_short_what_inspecting_finds(self, case: SourceCase) -> None:
        (seen,) = [each for each in case.source.overview() if each.id == case.machine_id]
        machine = case.source.inspect(case.machine_id)
        assert (seen.name, seen.firmware, seen.problem) == (machine.name, machine.firmware.kind, "")
        assert [(disk.id, disk.capacity) for disk in seen.disks] == [
            (disk.id, disk.capacity) for disk in machine.disks
        ]

    def test_overview_says_which_disks_a_checkpoint_will_cover(self, case: SourceCase) -> None:
        (seen,) = [each for each in case.source.overview() if each.id == case.machine_id]
        with case.source.snapshot(case.source.inspect(case.machine_id), RUN) as snapshot:
            covered = snapshot.checkpoint.disks if snapshot.checkpoint else ()
        told = {disk.id for disk in seen.disks if not disk.untracked}
        assert told == {disk.disk_id for disk in covered}

    def test_an_unknown_machine_is_named_with_the_ones_there_are(self, case: SourceCase) -> None:
        with pytest.raises(NotFoundError) as caught:
            case.source.inspect("no-such-machine")
        assert "no-such-machine" in caught.value.message
        assert case.machine_id in caught.value.hint

    def test_preflight_finds_no_error_in_a_machine_it_can_read(self, case: SourceCase) -> None:
        seen = case.source.preflight_source(case.source.inspect(case.machine_id))
        assert [found.what for found in seen.findings if found.severity is Severity.ERROR] == []
        assert all(found.what for found in seen.findings)

    def test_extents_cover_every_byte_once_in_order(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as snapshot:
            for disk in machine.disks:
                position = 0
                for extent in snapshot.extents(disk):
                    assert extent.start == position
                    assert extent.length > 0
                    position = extent.end
                assert position == disk.capacity

    def test_zero_extents_read_as_zero(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as snapshot:
            for disk, content in zip(machine.disks, case.contents, strict=True):
                zero = [e for e in snapshot.extents(disk) if e.kind is ExtentKind.ZERO]
                assert zero, "the case has to have a disk with holes"
                for extent in zero:
                    assert content.count(0, extent.start, extent.end) == extent.length

    def test_reads_what_is_there_and_again_the_same(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as snapshot:
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
            case.source.snapshot(machine, RUN) as snapshot,
            snapshot.open(machine.disks[0]) as reader,
        ):
            reader.readinto(memoryview(buffer)[1000:2024], 512)
        assert buffer[1000:2024] == case.contents[0][512 : 512 + 1024]
        assert set(buffer[:1000] + buffer[2024:]) == {0xFF}

    def test_says_how_consistent_it_is(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as snapshot:
            assert snapshot.consistency

    def test_says_when_it_was(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        before = datetime.now(UTC)
        with case.source.snapshot(machine, RUN) as snapshot:
            assert before <= snapshot.moment <= datetime.now(UTC)

    def test_disks_of_a_checkpoint_it_does_not_know_are_looked_at_in_full(
        self, case: SourceCase
    ) -> None:
        machine = case.source.inspect(case.machine_id)
        disks = tuple(TrackedDisk(disk_id=d.id, capacity=d.capacity) for d in machine.disks)
        since = Checkpoint(name="never-was", machine_id=machine.id, created=0, disks=disks)
        with case.source.snapshot(machine, RUN, since) as snapshot:
            for disk in machine.disks:
                assert snapshot.tracking(disk).since is None
                assert snapshot.tracking(disk).reason
                assert all(e.kind is not ExtentKind.CLEAN for e in snapshot.extents(disk))

    def test_what_did_not_change_since_a_checkpoint_is_clean(self, case: SourceCase) -> None:
        """Nothing writes to this machine: where changes are tracked, all of it is clean."""
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as first:
            since = first.checkpoint
        with case.source.snapshot(machine, NEXT_RUN, since) as snapshot:
            for disk in machine.disks:
                kinds = {extent.kind for extent in snapshot.extents(disk)}
                tracked = snapshot.tracking(disk).since is not None
                assert tracked is (since is not None)
                assert (kinds == {ExtentKind.CLEAN}) is tracked

    def test_no_checkpoint_is_made_when_none_is_wanted(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN, track=False) as snapshot:
            assert snapshot.checkpoint is None

    def test_forgotten_replica_leaves_no_checkpoint(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        with case.source.snapshot(machine, RUN) as snapshot:
            since = snapshot.checkpoint
        made = (since.name,) if since else ()
        assert case.source.forget_replica(machine, NEXT_RUN, since) == made
        assert case.source.forget_replica(machine, NEXT_RUN, since) == ()
        with case.source.snapshot(machine, LAST_RUN, since, track=False) as snapshot:
            assert {snapshot.tracking(disk).since for disk in machine.disks} == {None}

    def test_retired_checkpoints_are_forgotten_but_for_one(self, case: SourceCase) -> None:
        machine = case.source.inspect(case.machine_id)
        made = []
        for run in (RUN, NEXT_RUN):
            with case.source.snapshot(machine, run) as snapshot:
                made.append(snapshot.checkpoint)
        case.source.retire_checkpoints(machine, RUN.transfer, made[1])
        for since, is_known in zip(made, (False, True), strict=True):
            with case.source.snapshot(machine, LAST_RUN, since, track=False) as snapshot:
                tracked = snapshot.tracking(machine.disks[0]).since is not None
                assert tracked is (is_known and since is not None)
