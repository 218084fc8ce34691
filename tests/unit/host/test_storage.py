# SPDX-License-Identifier: Apache-2.0
"""Pools and volumes."""

import hashlib
from pathlib import Path

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakePool, libvirt_error
from tradewind.errors import CapacityError, HypervisorError, NotFoundError
from tradewind.host import storage
from tradewind.model.storage import Volume
from tradewind.units import GiB

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
    assert storage.download_digest(host, "images", "one.qcow2") == (
        hashlib.sha256(content).hexdigest()
    )
    assert told == [(len(content), len(content))]
    assert host.host.calls.count("finish stream") == 3
    assert "abort stream" not in host.host.calls


def test_download_stops_at_its_limit(host: FakeConnection) -> None:
    storage.create_volume(host, VOLUME)
    storage.upload_bytes(host, VOLUME, bytes(5000))
    assert len(storage.download(host, "images", "one.qcow2", limit=1500)) == 1500


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
            libvirt.VIR_ERR_INTERNAL_ERROR, "pool 'images' has asynchronous jobs running."
        ),
        libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "cannot open the folder"),
    ]

    def refuse(_pool: FakePool) -> int:
        raise said.pop(0)

    storage.create_volume(host, VOLUME)
    monkeypatch.setattr(FakePool, "refresh", refuse)
    assert storage.find_volume(host, "images", "one.qcow2") is not None
    with pytest.raises(libvirt.libvirtError, match="cannot open the folder"):
        storage.find_volume(host, "images", "one.qcow2")
