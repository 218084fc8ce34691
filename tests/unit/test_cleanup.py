# SPDX-License-Identifier: Apache-2.0
"""What is lent is given back, and the first error is the one that is told."""

import pytest

from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import HypervisorError, StreamError


def fail() -> None:
    raise HypervisorError("the host is gone")


def test_error_of_the_block_wins_and_everything_is_undone() -> None:
    undone: list[str] = []
    with (
        pytest.raises(StreamError, match="cut") as caught,
        cleanup_on_exit(fail, lambda: undone.append("volume")),
    ):
        raise StreamError("cut")
    assert undone == ["volume"]
    assert caught.value.__notes__ == ["Besides, it could not be undone: the host is gone"]


def test_without_an_error_the_one_of_the_undoing_is_told() -> None:
    undone: list[str] = []
    with (
        pytest.raises(HypervisorError, match="the host is gone"),
        cleanup_on_exit(fail, lambda: undone.append("volume")),
    ):
        pass
    assert undone == ["volume"]


def test_what_stays_when_all_is_well() -> None:
    undone: list[str] = []
    with cleanup_on_exit(lambda: undone.append("machine"), only_on_error=True):
        pass
    assert undone == []
    with cleanup_on_exit(lambda: undone.append("machine")):
        pass
    assert undone == ["machine"]
