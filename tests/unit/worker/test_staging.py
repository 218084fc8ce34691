# SPDX-License-Identifier: Apache-2.0
"""A worker image on its way into a pool."""

import hashlib
from pathlib import Path

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, libvirt_error
from tradewind.errors import (
    BusyError,
    HypervisorError,
    ImageFormatError,
    IntegrityError,
    NotFoundError,
    OptionError,
)
from tradewind.host import storage
from tradewind.model.storage import Volume
from tradewind.worker.staging import checksum, is_staged, stage

NAME = "worker.qcow2"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    path.write_bytes(b"QFI\xfb" + bytes(range(256)) * 20)
    return path


def target(image: Path) -> Volume:
    return Volume(pool="images", name=NAME, capacity=image.stat().st_size, format="raw")


def put(host: FakeConnection, image: Path) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    stage(
        host,
        target(image),
        image,
        checksum(image),
        lambda done, total: told.append((done, total)),
    )
    return told


def test_checksum_is_sha256_of_the_file(image: Path) -> None:
    assert checksum(image) == hashlib.sha256(image.read_bytes()).hexdigest()


def test_checksum_refuses_other_formats(tmp_path: Path) -> None:
    raw = tmp_path / "image.raw"
    raw.write_bytes(bytes(512))
    with pytest.raises(ImageFormatError, match=r"image\.raw is not a qcow2 image") as caught:
        checksum(raw)
    assert "qemu-img convert" in caught.value.hint


def test_checksum_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.qcow2 cannot be read \(No such file"):
        checksum(tmp_path / "none.qcow2")


def test_staged_image_is_known_as_this_very_image(host: FakeConnection, image: Path) -> None:
    assert not is_staged(host, "images", NAME, checksum(image))
    told = put(host, image)
    size = image.stat().st_size
    assert told[-1] == (size, size)
    assert bytes(host.host.contents[f"/pools/images/{NAME}"]) == image.read_bytes()
    assert is_staged(host, "images", NAME, checksum(image))
    assert not is_staged(host, "images", NAME, "0" * 64)


def test_image_that_qemu_cannot_open_there_is_not_taken_for_staged(
    host: FakeConnection, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What qemu-img of Debian 11 says of an image that is compressed with zstd."""

    def refuse(*_words: object) -> None:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "unknown compression type: 1")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "create_overlay", refuse)
        with pytest.raises(HypervisorError, match="unknown compression type") as caught:
            put(host, image)
    assert "qemu-img convert -O qcow2" in caught.value.hint
    assert not is_staged(host, "images", NAME, checksum(image))
    put(host, image)
    assert is_staged(host, "images", NAME, checksum(image))
    assert not [path for path in host.host.contents if path.endswith(".probe")]


def test_changed_image_replaces_the_old_one(host: FakeConnection, image: Path) -> None:
    put(host, image)
    image.write_bytes(b"QFI\xfb another one")
    put(host, image)
    assert bytes(host.host.contents[f"/pools/images/{NAME}"]) == image.read_bytes()
    assert is_staged(host, "images", NAME, checksum(image))


def test_half_an_upload_does_not_count(host: FakeConnection, image: Path) -> None:
    put(host, image)
    host.host.breaks_after = 1000
    with pytest.raises(HypervisorError, match="broke off"):
        put(host, image)
    host.host.breaks_after = None
    assert not is_staged(host, "images", NAME, checksum(image))


def test_what_arrived_garbled_is_removed(host: FakeConnection, image: Path) -> None:
    host.host.garbles = True
    with pytest.raises(IntegrityError, match=r"worker image worker\.qcow2: its SHA-256"):
        put(host, image)
    assert storage.find_volume(host, "images", NAME) is None


def test_image_without_its_note_is_staged_again(host: FakeConnection, image: Path) -> None:
    put(host, image)
    storage.delete_volume(host, "images", f"{NAME}.sha256")
    assert not is_staged(host, "images", NAME, checksum(image))


def test_volume_that_was_never_staged_is_not_replaced(host: FakeConnection, image: Path) -> None:
    """A run's parameters name the volume: it may be anybody's."""
    storage.create_volume(host, target(image))
    with pytest.raises(BusyError, match="no worker image that was staged") as caught:
        put(host, image)
    assert f"virsh vol-delete {NAME} images" in caught.value.hint
    assert storage.find_volume(host, "images", NAME) is not None


def test_broken_staging_is_begun_again(host: FakeConnection, image: Path) -> None:
    host.host.breaks_after = 1000
    with pytest.raises(HypervisorError, match="broke off"):
        put(host, image)
    host.host.breaks_after = None
    put(host, image)
    assert is_staged(host, "images", NAME, checksum(image))


def test_image_in_use_is_not_replaced(host: FakeConnection, image: Path) -> None:
    put(host, image)
    overlay = Volume(pool="images", name="over.qcow2", capacity=10_000, format="qcow2")
    storage.create_overlay(host, overlay, storage.require_volume(host, "images", NAME))
    with pytest.raises(BusyError, match=r"worker\.qcow2 by volume over\.qcow2"):
        put(host, image)
    assert is_staged(host, "images", NAME, checksum(image))  # as it was


def test_only_dir_pools_take_images(host: FakeConnection) -> None:
    with pytest.raises(OptionError, match="“vg” is of type logical"):
        is_staged(host, "vg", NAME, "0" * 64)
    with pytest.raises(NotFoundError, match="no storage pool “imags”"):
        is_staged(host, "imags", NAME, "0" * 64)
