# SPDX-License-Identifier: Apache-2.0
"""Recipes, and when one of them counts as changed."""

import shutil
from pathlib import Path

import pytest

from images import recipe
from images.recipe import Recipe
from tradewind.errors import NotFoundError


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The worker's recipe, and the builder, in a folder where they may be changed."""
    shutil.copytree(recipe.HERE, tmp_path / "images")
    monkeypatch.setattr(recipe, "HERE", tmp_path / "images")
    monkeypatch.setattr(recipe, "RECIPES", tmp_path / "images/recipes")
    return recipe.load("worker")


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_is_whole(name: str) -> None:
    wanted = recipe.load(name)
    assert (wanted.folder / "customize.sh").is_file()
    assert (wanted.folder / "files").is_dir()
    assert not wanted.disks or wanted.disks[0].mount == "/"
    assert len({disk.name for disk in wanted.disks}) == len(wanted.disks)


def test_there_are_a_worker_and_a_guest() -> None:
    assert {"debian12-bios", "worker"} <= set(recipe.names())


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="no such recipe") as refused:
        recipe.load("../worker")
    assert refused.value.hint.startswith("one of: debian12-bios, ")


def test_the_digest_stays_while_nothing_changes(copy: Recipe) -> None:
    before = recipe.digest(copy)
    for path in copy.folder.rglob("*"):
        path.touch()
    (copy.folder / "recipe.toml").chmod(0o664)  # another umask
    assert recipe.digest(copy) == before
    assert len(before) == 12


def test_content_mode_place_and_number_of_files_change_the_digest(copy: Recipe) -> None:
    seen = {recipe.digest(copy)}
    config = copy.folder / "files/etc/cloud/cloud.cfg"
    config.write_text(config.read_text() + "\n")
    seen.add(recipe.digest(copy))
    config.chmod(0o755)
    seen.add(recipe.digest(copy))
    config.rename(copy.folder / "files/etc/cloud.cfg")
    seen.add(recipe.digest(copy))
    (copy.folder / "files/etc/link").symlink_to("cloud.cfg")
    seen.add(recipe.digest(copy))
    (copy.folder / "files/etc/link").unlink()
    (copy.folder / "files/etc/link").symlink_to("elsewhere")
    seen.add(recipe.digest(copy))
    assert len(seen) == 6


@pytest.mark.parametrize("module", recipe.BUILDER)
def test_the_builder_changes_the_digest(copy: Recipe, module: str) -> None:
    before = recipe.digest(copy)
    path = recipe.HERE / module
    path.write_text(path.read_text() + "# another way to build\n")
    assert recipe.digest(copy) != before


def test_what_is_baked_in_changes_the_digest(copy: Recipe) -> None:
    assert recipe.digest(copy, "ssh-ed25519 AAAA") != recipe.digest(copy, "ssh-ed25519 BBBB")


def test_file_systems_keep_their_names_from_build_to_build() -> None:
    guest = recipe.load("debian12-bios")
    os, data = (recipe.filesystem_uuid(guest, disk) for disk in guest.disks)
    assert (os, data) == tuple(recipe.filesystem_uuid(guest, disk) for disk in guest.disks)
    assert os != data
    assert os != recipe.filesystem_uuid(recipe.load("worker"), guest.disks[0])
