# SPDX-License-Identifier: Apache-2.0
"""Volume sync: which volumes a machine needs, and what is done with those it has."""

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import CapacityError, NotFoundError, OptionError
from tradewind.host import storage
from tradewind.host.storage import naming, pools, room
from tradewind.host.storage.volume_sync import Placement, plan_on_host, plan_volumes, pool_for
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import PlannedVolume, ReplicaVolume, StorageMap, Volume
from tradewind.units import GiB, TiB

TRANSFER = "cafe0001"


def in_images(_disk: Disk) -> tuple[str, str]:
    return "images", "qcow2"


def replica(machine: VirtualMachine, disk: Disk) -> ReplicaVolume:
    name = naming.volume_name(TRANSFER, machine.name, disk.id, "qcow2")
    volume = Volume(pool="images", name=name, capacity=disk.capacity, format="qcow2")
    return naming.new_replica(TRANSFER, PlannedVolume(disk_id=disk.id, volume=volume))


def replicas(machine: VirtualMachine) -> list[ReplicaVolume]:
    return [replica(machine, disk) for disk in machine.disks]


def with_disks(machine: VirtualMachine, *disks: Disk) -> VirtualMachine:
    return machine.model_copy(update={"disks": disks})


@pytest.mark.parametrize(
    ("mapping", "default", "pool"),
    [
        (StorageMap(disks={"sda": "a"}, backends={"old": "b"}, default="c"), "d", "a"),
        (StorageMap(disks={"sdb": "a"}, backends={"old": "b"}, default="c"), "d", "b"),
        (StorageMap(disks={"sdb": "a"}, backends={"older": "b"}, default="c"), "d", "c"),
        (StorageMap(), "d", "d"),
    ],
)
def test_pool_per_disk_then_backend_then_defaults(
    machine: VirtualMachine, mapping: StorageMap, default: str, pool: str
) -> None:
    assert pool_for(machine.disks[0], mapping, default) == pool


def test_disk_without_a_pool_is_refused_by_name(machine: VirtualMachine) -> None:
    with pytest.raises(OptionError, match="disk sda") as caught:
        pool_for(machine.disks[0], StorageMap(), None)
    assert "default_storage_pool" in caught.value.hint


def test_first_execution_creates_exact_volumes(machine: VirtualMachine) -> None:
    plan = plan_volumes(TRANSFER, machine, [], in_images)
    assert [(new.disk_id, new.volume.capacity) for new in plan.create] == [
        ("sda", 20 * GiB),
        ("sdb", 4 * GiB),
    ]
    assert [new.volume.name for new in plan.create] == [
        "ledger01-cafe0001-sda.qcow2",
        "ledger01-cafe0001-sdb.qcow2",
    ]
    assert not (plan.grow)
    assert not (plan.keep)
    assert not (plan.delete)


def test_unchanged_machine_keeps_everything(machine: VirtualMachine) -> None:
    plan = plan_volumes(TRANSFER, machine, replicas(machine), in_images)
    assert [kept.disk_id for kept in plan.keep] == ["sda", "sdb"]
    assert not (plan.create)
    assert not (plan.grow)
    assert not (plan.delete)


def test_grown_new_and_gone_disks(machine: VirtualMachine) -> None:
    later = with_disks(
        machine,
        machine.disks[0].model_copy(update={"capacity": 30 * GiB}),
        Disk(id="sdc", capacity=GiB),
    )
    plan = plan_volumes(TRANSFER, later, replicas(machine), in_images)
    assert [(grown.disk_id, grown.volume.capacity) for grown in plan.grow] == [("sda", 30 * GiB)]
    assert [new.disk_id for new in plan.create] == ["sdc"]
    assert [gone.disk_id for gone in plan.delete] == ["sdb"]
    assert plan.keep == ()


def test_shrunk_disk_touches_nothing(machine: VirtualMachine) -> None:
    smaller = machine.disks[1].model_copy(update={"capacity": 3 * GiB})
    with pytest.raises(CapacityError, match=r"disk sdb of ledger01 shrank from 4\.0 GiB to 3\.0"):
        plan_volumes(
            TRANSFER,
            with_disks(machine, machine.disks[0], smaller),
            replicas(machine),
            in_images,
        )


def located(machine: VirtualMachine) -> list[ReplicaVolume]:
    return [
        replica(machine, disk).model_copy(update={"location": disk.location, "blank": False})
        for disk in machine.disks
    ]


def at_places(machine: VirtualMachine) -> VirtualMachine:
    return with_disks(
        machine,
        *(disk.model_copy(update={"location": f"/vm/{disk.id}.qcow2"}) for disk in machine.disks),
    )


def test_renamed_disk_keeps_its_volume(machine: VirtualMachine) -> None:
    before = at_places(machine)
    later = with_disks(before, before.disks[0].model_copy(update={"id": "vda"}), before.disks[1])
    plan = plan_volumes(TRANSFER, later, located(before), in_images)
    assert [(each.was, each.disk_id) for each in plan.rename] == [("sda", "vda")]
    assert [(kept.disk_id, kept.volume.name) for kept in plan.keep] == [
        ("vda", "ledger01-cafe0001-sda.qcow2"),
        ("sdb", "ledger01-cafe0001-sdb.qcow2"),
    ]
    assert not (plan.create)
    assert not (plan.delete)


def test_disks_that_changed_places_keep_their_volumes(machine: VirtualMachine) -> None:
    before = at_places(machine)
    one, other = before.disks
    later = with_disks(
        before, other.model_copy(update={"id": "sda"}), one.model_copy(update={"id": "sdb"})
    )
    plan = plan_volumes(TRANSFER, later, located(before), in_images)
    assert [(each.was, each.disk_id) for each in plan.rename] == [("sdb", "sda"), ("sda", "sdb")]
    assert [kept.volume.name for kept in plan.keep] == [
        "ledger01-cafe0001-sdb.qcow2",
        "ledger01-cafe0001-sda.qcow2",
    ]


def test_new_disk_may_have_the_name_of_one_that_was_renamed(machine: VirtualMachine) -> None:
    before = at_places(machine)
    new = Disk(id="sda", capacity=GiB, location="/vm/new.qcow2")
    later = with_disks(before, before.disks[0].model_copy(update={"id": "sdb"}), new)
    plan = plan_volumes(TRANSFER, later, located(before), in_images)
    assert [(each.was, each.disk_id) for each in plan.rename] == [
        ("sda", "sdb"),
        ("sdb", "gone-sdb"),
    ]
    assert [each.volume.name for each in plan.create] == ["ledger01-cafe0001-sda-2.qcow2"]
    assert [each.disk_id for each in plan.delete] == ["gone-sdb"]


def test_changed_mapping_of_a_volume_is_refused_with_the_remedy(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    known = replicas(machine)
    for each in known:
        storage.create_volume(host, each.volume)
    placement = Placement(StorageMap(disks={"sdb": "fast"}), "images")
    with pytest.raises(OptionError, match=r"disk sdb .* in pool “fast”.* is in pool “images”") as e:
        plan_on_host(host, TRANSFER, machine, known, placement)
    assert "virsh vol-delete ledger01-cafe0001-sdb.qcow2 images" in e.value.hint


def test_changed_default_concerns_new_volumes_only(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    known = replicas(machine)
    for each in known:
        storage.create_volume(host, each.volume)
    plan = plan_on_host(host, TRANSFER, machine, known, Placement(StorageMap(), "fast"))
    assert [kept.volume.pool for kept in plan.keep] == ["images", "images"]


def test_plan_on_host_takes_the_pools_format(host: FakeConnection, machine: VirtualMachine) -> None:
    placement = Placement(StorageMap(disks={"sdb": "vg"}), "fast")
    plan = plan_on_host(host, TRANSFER, machine, [], placement)
    assert [(new.volume.pool, new.volume.format) for new in plan.create] == [
        ("fast", "qcow2"),
        ("vg", "raw"),
    ]


def test_a_pool_that_cannot_serve_is_refused_in_the_plan(
    host: FakeConnection, machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "pool_type", lambda *_: "iscsi")
    with pytest.raises(OptionError, match=r"“fast” on .* is of type iscsi"):
        plan_on_host(host, TRANSFER, machine, [], Placement(StorageMap(), "fast"))


def test_a_thick_pool_needs_room_for_all_of_each_disk(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    sparse = with_disks(machine, Disk(id="sda", capacity=101 * GiB, allocation=GiB))
    plan = plan_on_host(host, TRANSFER, sparse, [], Placement(StorageMap(), "fast"))
    assert "overcommitted" in plan.notes[0]
    with pytest.raises(CapacityError, match=r"“vg” .* needs 101\.0 GiB"):
        plan_on_host(host, TRANSFER, sparse, [], Placement(StorageMap(), "vg"))


def in_group(machine: VirtualMachine, disk: Disk) -> ReplicaVolume:
    there = replica(machine, disk)
    volume = there.volume.model_copy(update={"pool": "vg", "format": "raw"})
    return there.model_copy(update={"volume": volume})


def test_a_logical_volume_is_grown_by_a_person(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    disk = Disk(id="sda", capacity=GiB)
    known = in_group(machine, disk)
    storage.create_volume(host, known.volume)
    later = with_disks(machine, disk.model_copy(update={"capacity": 2 * GiB}))
    with pytest.raises(CapacityError, match="cannot grow volumes of the logical pool") as caught:
        plan_on_host(host, TRANSFER, later, [known], Placement(StorageMap(), "vg"))
    path = f"/dev/vg/{known.volume.name}"
    assert caught.value.hint == f"on its host: lvextend --size {2 * GiB}b {path}"
    host.host.capacities[path] = 2 * GiB
    plan = plan_on_host(host, TRANSFER, later, [known], Placement(StorageMap(), "vg"))
    storage.grow_volume(host, plan.grow[0].volume)


def test_clones_need_room(host: FakeConnection, machine: VirtualMachine) -> None:
    known = in_group(machine, Disk(id="sda", capacity=60 * GiB))
    storage.create_volume(host, known.volume)
    with pytest.raises(CapacityError, match=r"a clone of machine web needs 60\.0 GiB"):
        room.require_room_for_clones(host, "web", [known])


def test_a_volume_that_is_larger_than_its_disk_is_told(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    """An earlier version let libvirt round up."""
    (known, *_) = replicas(machine)
    storage.create_volume(host, known.volume)
    one = with_disks(machine, machine.disks[0])
    where = Placement(StorageMap(), "fast")
    said = f"volume {known.volume.name} has {20 * GiB + 512} bytes, and its disk {20 * GiB}"
    assert said not in str(plan_on_host(host, TRANSFER, one, [known], where).notes)
    host.host.capacities[f"/pools/images/{known.volume.name}"] += 512
    assert said in str(plan_on_host(host, TRANSFER, one, [known], where).notes)


def test_volume_that_somebody_removed_is_made_anew(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    known = replicas(machine)
    storage.create_volume(host, known[0].volume)
    plan = plan_on_host(host, TRANSFER, machine, known, Placement(StorageMap(), "fast"))
    assert [kept.disk_id for kept in plan.keep] == ["sda"]
    assert [(new.disk_id, new.volume.pool) for new in plan.create] == [("sdb", "fast")]


def test_volume_of_a_machine_that_was_deployed_without_a_clone_is_left_alone(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    used_up = replicas(machine)
    storage.create_volume(host, used_up[0].volume)
    plan = plan_on_host(host, TRANSFER, machine, [], Placement(StorageMap(), "images"))
    assert [new.volume.name for new in plan.create] == [
        "ledger01-cafe0001-sda-2.qcow2",
        "ledger01-cafe0001-sdb.qcow2",
    ]
    (note,) = plan.notes
    assert "ledger01-cafe0001-sda.qcow2 in pool images is left alone" in note


def test_pool_that_is_not_there(host: FakeConnection, machine: VirtualMachine) -> None:
    with pytest.raises(NotFoundError, match="no storage pool “fats”") as caught:
        plan_on_host(host, TRANSFER, machine, [], Placement(StorageMap(), "fats"))
    assert "fast" in caught.value.hint


def test_pool_too_small_for_what_the_source_stores(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    big = with_disks(
        machine,
        Disk(id="sda", capacity=TiB, allocation=60 * GiB),
        Disk(id="sdb", capacity=50 * GiB),  # what is stored is not known: all of it may be
    )
    with pytest.raises(CapacityError, match=r"“fast” on .* has 100\.0 GiB free.*needs 110\.0 GiB"):
        plan_on_host(host, TRANSFER, big, [], Placement(StorageMap(), "fast"))
    spread = Placement(StorageMap(disks={"sdb": "vg"}), "fast")
    assert len(plan_on_host(host, TRANSFER, big, [], spread).create) == 2


def test_overcommitted_pool_is_noted(host: FakeConnection, machine: VirtualMachine) -> None:
    big = with_disks(machine, Disk(id="sda", capacity=TiB, allocation=GiB))
    notes = plan_on_host(host, TRANSFER, big, [], Placement(StorageMap(), "fast")).notes
    assert len(notes) == 1
    assert notes[0].startswith("pool fast is overcommitted")
    assert plan_on_host(host, TRANSFER, machine, [], Placement(StorageMap(), "fast")).notes == ()


def test_serials_fit_and_differ() -> None:
    serials = {naming.serial(transfer, disk) for transfer in "ab" for disk in ("sda", "sdb")}
    assert len(serials) == 4
    assert all(len(serial) <= 20 for serial in serials)
    assert naming.serial("a", "sda") == naming.serial("a", "sda")


def test_names_are_fit_for_files() -> None:
    assert naming.safe_name("../Buchhaltung (alt)/ä") == ".._Buchhaltung_alt_"
    assert len(naming.safe_name("x" * 300)) == 80


def test_clone_is_labelled_with_its_run(machine: VirtualMachine) -> None:
    original = replica(machine, machine.disks[0])
    clone = naming.clone_of("0123456789ab", machine, original)
    assert clone.volume.name == "tradewind-0123456789ab-ledger01-sda.qcow2"
    assert (clone.serial, clone.volume.capacity) == (original.serial, 20 * GiB)


def test_what_a_worker_adapts_has_the_sectors_of_its_disk(machine: VirtualMachine) -> None:
    large = machine.disks[0].model_copy(update={"sector": 4096})
    moved = machine.model_copy(update={"disks": (large, *machine.disks[1:])})
    clones = [naming.clone_of("0123456789ab", moved, volume) for volume in replicas(moved)]
    assert [clone.sector for clone in clones] == [4096, 512]


def test_replica_in_the_machines_order(machine: VirtualMachine) -> None:
    backwards = replicas(machine)[::-1]
    found = naming.in_machine_order(machine, backwards)
    assert [volume.disk_id for volume in found] == ["sda", "sdb"]
    with pytest.raises(NotFoundError, match="no replica of disk sda"):
        naming.in_machine_order(machine, backwards[:1])
