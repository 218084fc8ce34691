# SPDX-License-Identifier: Apache-2.0
"""What a run that was asked for through Prefect may name on the controller."""

from pathlib import Path

import pytest

from tradewind.errors import OptionError
from tradewind.morphing.named_folders import require_below


def test_below_a_folder_links_and_dots_followed(tmp_path: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    (allowed / "inside").mkdir()
    (allowed / "link").symlink_to(outside)
    folders_ = f"{tmp_path / 'none'}:{allowed}"
    require_below(
        [str(allowed), str(allowed / "inside"), str(allowed / "x" / ".." / "y")], folders_
    )
    for path in (outside, allowed / "link", allowed / ".." / "outside", Path("/etc/shadow")):
        with pytest.raises(OptionError, match="is not below a folder that runs may name") as caught:
            require_below([str(path)], folders_)
        assert "TRADEWIND_FOLDERS" in caught.value.hint


def test_without_a_folder_nothing_may_be_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there are: none"):
        require_below([str(tmp_path)], "")
    require_below([], "")
