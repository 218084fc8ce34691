# SPDX-License-Identifier: Apache-2.0
"""When the package mirror is filled."""

from pathlib import Path

import pytest

from images import mirror
from tradewind.errors import TradewindError


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the download, and tell how often it happened."""
    seen: list[Path] = []

    def fill(work: Path) -> None:
        seen.append(work)
        (work / "repository").mkdir()
        (work / "repository/Packages").write_text(f"{len(seen)}\n")

    monkeypatch.setattr(mirror, "fill", fill)
    return seen


def test_the_mirror_is_filled_once(fills: list[Path], own_cache: Path) -> None:
    assert mirror.build_mirror() == own_cache / "mirror/debian"
    mirror.build_mirror()
    assert len(fills) == 1
    assert (own_cache / "mirror/debian/Packages").read_text() == "1\n"


def test_a_failed_download_keeps_the_old_one(
    fills: list[Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.build_mirror()
    (own_cache / "mirror/debian/.digest").write_text("of an older list of packages")

    def fail(_work: Path) -> None:
        raise TradewindError("apt-get ended with status 100")

    monkeypatch.setattr(mirror, "fill", fail)
    with pytest.raises(TradewindError, match="apt-get"):
        mirror.build_mirror()
    assert (own_cache / "mirror/debian/Packages").read_text() == "1\n"
    assert list((own_cache / "images").iterdir()) == []
    assert len(fills) == 1
