# SPDX-License-Identifier: Apache-2.0
"""The file tree of a host: built once, whole or not at all."""

from pathlib import Path

import pytest

from images import host_tree, recipe
from images.recipe import TreeRecipe
from tradewind.errors import NotFoundError, TradewindError


@pytest.fixture
def made(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was installed, in order; no package is."""
    names = list[str]()

    def install(wanted: TreeRecipe, root: Path, work: Path) -> None:
        names.append(wanted.name)
        (root / "usr").mkdir()

    monkeypatch.setattr(host_tree, "make_rootfs", install)
    monkeypatch.setattr(host_tree, "check_tools", lambda: None)
    return names


@pytest.mark.parametrize("name", recipe.host_names())
def test_every_recipe_is_whole(name: str) -> None:
    wanted = recipe.load_host(name)
    assert {"libvirt-daemon-system", "qemu-system-x86", "openssh-server"} <= set(wanted.packages)


def test_a_host_is_built_once(made: list[str]) -> None:
    first, second = host_tree.build_host("trixie"), host_tree.build_host("trixie")
    assert first == second
    assert (first / "usr").is_dir()
    assert made == ["trixie"]


def test_a_failed_build_leaves_nothing(
    made: list[str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(wanted: TreeRecipe, root: Path, work: Path) -> None:
        raise TradewindError("mmdebstrap ended with status 1")

    monkeypatch.setattr(host_tree, "make_rootfs", fail)
    with pytest.raises(TradewindError, match="mmdebstrap"):
        host_tree.build_host("trixie")
    assert [each for each in own_cache.rglob("*trixie*") if each.parent.name != "locks"] == []


def test_other_versions_are_removed_and_the_current_one_when_asked(made: list[str]) -> None:
    current = host_tree.build_host("trixie")
    other = current.with_name("trixie-000000000000")
    other.mkdir()
    host_tree.clean("trixie")
    assert [current.exists(), other.exists()] == [True, False]
    host_tree.clean("trixie", everything=True)
    assert not current.exists()


def test_an_unknown_host_is_refused_with_the_known_ones(own_cache: Path) -> None:
    with pytest.raises(NotFoundError, match="host sarge") as refused:
        host_tree.build_host("sarge")
    assert "trixie" in refused.value.hint
