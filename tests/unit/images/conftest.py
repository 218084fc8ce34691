# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, so that none looks into the real one."""
    monkeypatch.setenv("TRADEWIND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
