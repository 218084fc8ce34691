# SPDX-License-Identifier: Apache-2.0
"""Pools and volumes."""

import hashlib
import json
import subprocess
from pathlib import Path

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakePool, libvirt_error
from tradewind.errors import CapacityError, HypervisorError, NotFoundError, OptionError
from tradewind.host import storage
from tradewind.host.storage import exact_size, pools
from tradewind.model.storage import Volume
from tradewind.units import GiB, MiB

VOLUME = Volume(pool="images", name="one.qcow2", capacity=GiB, format="qcow2")


def test_pools_are_found_or_the_others_named(host: FakeConnection) -> None:
    assert storage.find_pool(host, "vg").name() == "vg"
    with pytest.raises(NotFoundError, match="no storage pool “imags”") as caught:
        storage.find_pool(host, "imags")
    assert caught.value.hint == "choose one of: asleep, fast, images, vg"


def test_stopped_pool_says_how_to_start_it(host: FakeConnection) -> None:
    with pytest.raises(NotFoundError, match=r"“asleep” on .* is not running") as caught:
        storage.find_pool(host, "asleep")
    assert "virsh pool-start asleep" in caught.value.hint


def test_format_follows_the_pools_kind(host: FakeConnection) -> None:
    assert (storage.volume_format(host, "fast"), storage.pool_type(host, "fast")) == (
        "qcow2",
        "dir",
    )
    assert (storage.volume_format(host, "vg"), storage.pool_type(host, "vg")) == ("raw", "logical")


def test_room(host: FakeConnection) -> None:
    storage.require_room(host, "fast", 100 * GiB, "it")
    with pytest.raises(CapacityError, match=r"100\.0 GiB free; machine a needs 101\.0 GiB"):
        storage.require_room(host, "fast", 101 * GiB, "machine a")


def test_new_volume_takes_no_room(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    found = storage.describe_volume(storage.require_volume(host, "images", "one.qcow2"))
    assert (found.capacity, found.allocation, found.format) == (GiB, 0, "qcow2")
    assert storage.volume_path(host, VOLUME) == "/pools/images/one.qcow2"
    assert storage.available(host, "images") == 100 * GiB


ODD = 10 * MiB + 512


def size(host: FakeConnection, volume: Volume) -> int:
    found = storage.require_volume(host, volume.pool, volume.name)
    return storage.describe_volume(found).capacity


@pytest.mark.parametrize(
    ("pool", "form", "capacity"),
    [
        ("images", "qcow2", ODD),
        ("images", "raw", ODD),
        ("images", "qcow2", 63 * 512),
        ("images", "qcow2", GiB),
        ("vg", "raw", 12 * MiB),
    ],
)
def test_a_volume_is_as_large_as_its_disk(
    host: FakeConnection, pool: str, form: str, capacity: int
) -> None:
    volume = Volume(pool=pool, name="odd", capacity=capacity, format=form)
    storage.create_volume(host, volume)
    assert size(host, volume) == capacity
    clone = volume.model_copy(update={"name": "clone"})
    storage.clone_volume(host, volume, clone)
    assert size(host, clone) == capacity


def test_a_logical_volume_has_its_room_from_the_start(host: FakeConnection) -> None:
    """With less, libvirt makes a snapshot without an origin: 4 MiB that overflow."""
    volume = Volume(pool="vg", name="root", capacity=GiB, format="raw")
    storage.create_volume(host, volume)
    storage.clone_volume(host, volume, volume.model_copy(update={"name": "clone"}))
    storage.create_volume(host, VOLUME)
    assert host.host.allocations == {
        "/dev/vg/root": GiB,
        "/dev/vg/clone": GiB,
        "/pools/images/one.qcow2": 0,
    }


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("iscsi", "libvirt makes no volumes there"),
        ("mpath", "libvirt makes no volumes there"),
        ("scsi", "libvirt makes no volumes there"),
        ("gluster", "libvirt makes no volumes there"),
        ("disk", "its volumes are partitions"),
        ("rbd", "no files or block devices"),
        ("zfs", "cannot clone"),
        ("new-kind", "a type that is not known"),
    ],
)
def test_pools_that_cannot_serve_are_refused(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, kind: str, why: str
) -> None:
    monkeypatch.setattr(pools, "pool_type", lambda *_: kind)
    with pytest.raises(OptionError, match=f"is of type {kind}: .*{why}") as caught:
        pools.require_fit(host, "vg")
    assert "dir, fs, netfs" in caught.value.hint


@pytest.mark.parametrize("kind", ["dir", "fs", "netfs", "logical"])
def test_pools_that_serve(host: FakeConnection, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(pools, "pool_type", lambda *_: kind)
    pools.require_fit(host, "vg")


def test_a_file_that_ends_within_a_sector_has_that_sector(host: FakeConnection) -> None:
    volume = VOLUME.model_copy(update={"capacity": 10 * MiB + 100})
    storage.create_volume(host, volume)
    assert size(host, volume) == 10 * MiB + 512


def test_a_pool_that_rounds_up_is_refused_and_nothing_is_left(host: FakeConnection) -> None:
    """A logical volume has whole extents of its group."""
    volume = Volume(pool="vg", name="odd", capacity=ODD, format="raw")
    with pytest.raises(HypervisorError, match="makes volume odd 11534336 bytes large") as caught:
        storage.create_volume(host, volume)
    assert "grow it on its source to 11534336 bytes" in caught.value.hint
    assert storage.find_volume(host, "vg", "odd") is None


def test_an_overlay_is_as_large_as_what_lies_below(host: FakeConnection) -> None:
    base = VOLUME.model_copy(update={"capacity": ODD})
    storage.create_volume(host, base)
    overlay = base.model_copy(update={"name": "over.qcow2"})
    storage.create_overlay(host, overlay, storage.require_volume(host, "images", base.name))
    assert size(host, overlay) == ODD


def test_a_volume_grows_to_an_odd_size(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    grown = VOLUME.model_copy(update={"capacity": GiB + 512})
    storage.grow_volume(host, grown)
    assert size(host, grown) == GiB + 512


def qemu_img(*argv: str | Path) -> None:
    subprocess.run(["qemu-img", *argv], check=True, capture_output=True)


def test_qemu_img_makes_what_libvirt_asks_it_for(tmp_path: Path) -> None:
    """The commands that libvirt runs: storage_util.c, virStorageBackendCreateQemuImgCmd, Resize."""

    def shown(image: Path) -> int:
        told = subprocess.run(
            ["qemu-img", "info", "--output=json", image], check=True, capture_output=True
        )
        return int(json.loads(told.stdout)["virtual-size"])

    image, above = tmp_path / "image", tmp_path / "above"
    first = exact_size.to_begin_with(VOLUME.model_copy(update={"capacity": ODD})).capacity
    qemu_img("create", "-f", "qcow2", image, f"{-(-first // 1024)}K")
    qemu_img("resize", image, str(ODD))
    assert shown(image) == ODD
    qemu_img("create", "-f", "qcow2", "-b", image, "-F", "qcow2", above)
    assert shown(above) == ODD


def test_volumes_are_looked_up_in_the_folder_as_it_is_now(host: FakeConnection) -> None:
    assert storage.find_volume(host, "images", "one.qcow2") is None
    assert host.host.calls == ["refresh images"]


def test_missing_volume_names_the_others(host: FakeConnection) -> None:
    with pytest.raises(NotFoundError, match="no volume “two”") as caught:
        storage.require_volume(host, "images", "two")
    assert caught.value.hint == "there are: none"
    storage.create_volume(host, VOLUME)
    with pytest.raises(NotFoundError) as caught:
        storage.require_volume(host, "images", "two")
    assert caught.value.hint == "there are: one.qcow2"


def test_overlay_lies_on_its_image(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    overlay = VOLUME.model_copy(update={"name": "over.qcow2", "capacity": 2 * GiB})
    storage.create_overlay(host, overlay, storage.require_volume(host, "images", "one.qcow2"))
    found = storage.describe_volume(storage.require_volume(host, "images", "over.qcow2"))
    assert (found.backing, found.capacity) == ("/pools/images/one.qcow2", 2 * GiB)


def test_clone_has_the_contents(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    storage.upload_bytes(host, VOLUME, b"contents")
    clone = VOLUME.model_copy(update={"name": "clone.qcow2"})
    storage.clone_volume(host, VOLUME, clone)
    assert storage.download(host, "images", "clone.qcow2") == b"contents"


def test_volume_grows(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    storage.grow_volume(host, VOLUME.model_copy(update={"capacity": 3 * GiB}))
    found = storage.describe_volume(storage.require_volume(host, "images", "one.qcow2"))
    assert found.capacity == 3 * GiB


def test_deleting_says_whether_there_was_one(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    assert storage.delete_volume(host, "images", "one.qcow2")
    assert not storage.delete_volume(host, "images", "one.qcow2")
    assert storage.find_volume(host, "images", "one.qcow2") is None


def test_upload_and_back(host: FakeConnection, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40 + b"end"  # more than the stream takes at once
    file = tmp_path / "image"
    file.write_bytes(content)
    storage.create_volume(host, VOLUME)
    told: list[tuple[int, int]] = []
    storage.upload(host, VOLUME, file, lambda done, total: told.append((done, total)))
    assert storage.download(host, "images", "one.qcow2") == content
    assert storage.download_digest(host, "images", "one.qcow2", len(content)) == (
        hashlib.sha256(content).hexdigest()
    )
    assert told == [(len(content), len(content))]
    assert host.host.calls.count("finish stream") == 3
    assert "abort stream" not in host.host.calls


def test_download_stops_at_its_limit(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    storage.upload_bytes(host, VOLUME, bytes(5000))
    assert len(storage.download(host, "images", "one.qcow2", limit=1500)) == 1500


def test_a_host_that_sends_more_than_it_was_asked_for_is_not_listened_to(
    host: FakeConnection,
) -> None:
    storage.create_volume(host, VOLUME)
    host.host.floods = True
    volume = storage.require_volume(host, "images", "one.qcow2")
    for read in (
        lambda: storage.download(host, "images", "one.qcow2"),
        lambda: storage.download_digest(host, "images", "one.qcow2", 1 << 20),
        lambda: storage.download_all(host, volume, 1 << 20),
    ):
        with pytest.raises(
            HypervisorError, match=r"one\.qcow2: the host sends more than the 1.0 MiB"
        ):
            read()
    assert host.host.calls.count("abort stream") == 3


def test_upload_that_breaks_off_is_aborted(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    host.host.breaks_after = 2000
    with pytest.raises(HypervisorError, match=r"one\.qcow2: the upload broke off"):
        storage.upload_bytes(host, VOLUME, bytes(5000))
    assert host.host.calls[-1] == "abort stream"
    assert "finish stream" not in host.host.calls


def test_stopped_upload_is_aborted(host: FakeConnection, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(bytes(5000))
    storage.create_volume(host, VOLUME)

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.upload(host, VOLUME, file, stop)
    assert host.host.calls[-1] == "abort stream"


def test_pool_that_is_at_work_is_taken_as_last_seen(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[libvirt.libvirtError] = [
        libvirt_error(
            libvirt.VIR_ERR_INTERNAL_ERROR, "プール「images」では非同期ジョブが実行されています"
        ),
        libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "cannot open the folder"),
    ]

    def refuse(pool: FakePool) -> int:
        """Refuse it, and then fail: what failed is stopped by libvirt."""
        if len(said) == 1:
            pool.destroy()
        raise said.pop(0)

    storage.create_volume(host, VOLUME)
    monkeypatch.setattr(FakePool, "refresh", refuse)
    assert storage.find_volume(host, "images", "one.qcow2") is not None
    with pytest.raises(libvirt.libvirtError, match="cannot open the folder"):
        storage.find_volume(host, "images", "one.qcow2")
