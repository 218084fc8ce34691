# SPDX-License-Identifier: Apache-2.0
"""When an image is built, and what a build that fails does; the building itself is faked."""

import shutil
from pathlib import Path

import pytest

from images import builder, cache, keys, tree
from images.cache import BuiltImage
from images.recipe import DiskRecipe, Recipe, load
from tradewind.errors import BadInputError, NotFoundError, TradewindError


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the slow part, writing one disk, and tell what was written."""
    written: list[str] = []

    def write_disk(wanted: Recipe, each: DiskRecipe, root: Path, work: Path) -> Path:
        assert root.is_dir()
        written.append(f"{wanted.name}/{each.name}")
        path = work / f"{each.name}.qcow2"
        path.write_text(each.name)
        return path

    monkeypatch.setattr(builder, "check_tools", lambda: None)
    monkeypatch.setattr(builder, "make_rootfs", lambda _wanted, _root, _work: None)
    monkeypatch.setattr(tree, "finish", lambda _wanted, _root: None)
    monkeypatch.setattr(tree, "fill", lambda _disk, _root: None)
    monkeypatch.setattr(builder, "write_disk", write_disk)
    return written


def test_an_image_is_built_once(built: list[str]) -> None:
    first = builder.build("debian12-bios")
    assert builder.build("debian12-bios") == first
    assert built == ["debian12-bios/os", "debian12-bios/data"]
    assert [disk.name for disk in first.disks] == ["os.qcow2", "data.qcow2"]
    assert first.checksum == cache.checksum(first.disks[0])


def test_another_digest_is_another_image(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = builder.build("worker")
    monkeypatch.setattr(builder, "current_digest", lambda _wanted: "0123456789ab")
    second = builder.build("worker")
    assert built == ["worker/worker", "worker/worker"]
    assert second.digest == "0123456789ab"
    assert first.disks[0].exists()  # somebody may use it still


def test_a_broken_image_is_built_again(built: list[str]) -> None:
    builder.build("worker").disks[0].unlink()
    assert builder.build("worker").disks[0].exists()
    assert len(built) == 2


def test_a_failed_step_names_the_image_and_leaves_nothing(
    built: list[str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_wanted: Recipe, _root: Path, work: Path) -> None:
        (work / "tree/etc").mkdir()
        raise TradewindError("mmdebstrap ended with status 25")

    monkeypatch.setattr(builder, "make_rootfs", fail)
    with pytest.raises(TradewindError, match="image worker: mmdebstrap ended with status 25"):
        builder.build("worker")
    assert built == []
    assert list((own_cache / "images").iterdir()) == []


def test_a_missing_tool_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "mke2fs" else tool)
    with pytest.raises(BadInputError, match="needs mke2fs") as refused:
        builder.build("worker")
    assert "install-system-packages --lab" in refused.value.hint


def test_an_unknown_image_is_refused(own_cache: Path) -> None:
    with pytest.raises(NotFoundError):
        builder.build("windows-2025")
    assert not own_cache.exists()


def test_a_new_guest_key_means_a_new_guest(own_cache: Path) -> None:
    guest, worker = load("debian12-bios"), load("worker")
    before = builder.current_digest(guest), builder.current_digest(worker)
    for path in own_cache.glob("guest-key*"):
        path.unlink()
    after = builder.current_digest(guest), builder.current_digest(worker)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_the_guest_key_is_made_once_and_kept_private() -> None:
    key = keys.guest_key()
    text = key.read_text()
    assert keys.guest_key().read_text() == text
    assert key.stat().st_mode & 0o777 == 0o600
    assert keys.public_line(key).startswith("ssh-ed25519 ")
    assert keys.public_line(keys.guest_host_key()) != keys.public_line(key)


def test_the_record_survives_json() -> None:
    image = BuiltImage(name="a", disks=(Path("/x"),), digest="b", checksum="c")
    assert BuiltImage.model_validate_json(image.model_dump_json()) == image
