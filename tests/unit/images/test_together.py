# SPDX-License-Identifier: Apache-2.0
"""Images that are built side by side."""

import threading

import pytest

from images import together
from tradewind.errors import TradewindError


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was built. Nothing is before all have begun; an image called “broken” fails."""
    begun, built = threading.Barrier(3, timeout=60), list[str]()

    def build(name: str) -> None:
        begun.wait()
        if name == "broken":
            raise TradewindError("image broken: no such package")
        built.append(name)

    monkeypatch.setattr(together, "build", build)
    monkeypatch.setattr(together, "build_host", build)
    monkeypatch.setattr(together, "build_mirror", lambda: build("the mirror"))
    return built


def test_all_are_built_at_the_same_time(done: list[str]) -> None:
    together.build_for_lab(["worker"], ["a host"])
    assert sorted(done) == ["a host", "the mirror", "worker"]


def test_the_others_end_before_a_failure_is_told(done: list[str]) -> None:
    with pytest.raises(TradewindError, match="image broken"):
        together.build_for_lab(["broken", "worker"])
    assert sorted(done) == ["the mirror", "worker"]
