# SPDX-License-Identifier: Apache-2.0
"""What the one decorator promises: what may pass with time is retried, nothing else is."""

from collections.abc import Callable

import pytest
from prefect.cache_policies import NO_CACHE

import tasks.step
from tasks.step import RETRIES, step
from tradewind.errors import (
    AccessRefusedError,
    BadInputError,
    BusyError,
    ConnectionFailedError,
    HostKeyError,
    HypervisorBusyError,
    HypervisorError,
    IntegrityError,
    StreamError,
    UnreachableError,
    WriterError,
)

Failing = Callable[..., list[str]]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Run a step that fails some times; list its attempts, and what it raised at the end."""
    monkeypatch.setattr(tasks.step, "exponential_backoff", lambda backoff_factor: 0)

    def run(error: BaseException, times: int = 100, retries: int = RETRIES) -> list[str]:
        said: list[str] = []

        @step("fail-{times}", retries=retries)
        def fail(times: int) -> str:
            said.append("tried")
            if len(said) <= times:
                raise error
            return "done"

        try:
            said.append(fail(times))
        except BaseException as raised:  # noqa: BLE001 - it is what is looked at
            said += [type(raised).__name__, str(raised)]
        return said

    return run


@pytest.mark.parametrize("kind", [StreamError, ConnectionFailedError, HypervisorBusyError])
def test_what_may_pass_is_tried_again(failing: Failing, kind: type[Exception]) -> None:
    assert failing(kind("for now"), times=2) == ["tried", "tried", "tried", "done"]


def test_it_is_not_tried_for_ever(failing: Failing) -> None:
    assert failing(StreamError("still")) == ["tried"] * (1 + RETRIES) + ["StreamError", "still"]


@pytest.mark.parametrize(
    "kind",
    [
        BadInputError,
        BusyError,
        AccessRefusedError,
        HostKeyError,
        UnreachableError,
        HypervisorError,
        WriterError,
        IntegrityError,
        ValueError,
    ],
)
def test_what_stays_is_tried_exactly_once(failing: Failing, kind: type[Exception]) -> None:
    assert failing(kind("for good")) == ["tried", kind.__name__, "for good"]


def test_step_may_say_how_often(failing: Failing) -> None:
    assert failing(StreamError("no"), retries=0) == ["tried", "StreamError", "no"]


def test_equal_arguments_are_no_reason_to_skip() -> None:
    calls: list[str] = []

    @step("detach-{disk}")
    def detach(disk: str) -> None:
        calls.append(disk)

    detach("sda")
    detach("sda")
    assert calls == ["sda", "sda"]


def test_settings_of_every_step() -> None:
    @step("look-at-{disk}")
    def look(disk: str) -> str:
        """Look at a disk."""
        return disk

    assert look("sda") == "sda"
    declared = vars(look)
    assert declared["task_run_name"] == "look-at-{disk}"
    assert declared["name"] == "look"
    assert declared["retries"] == RETRIES
    assert declared["retry_delay_seconds"] == [2, 4, 8]
    assert declared["cache_policy"] == NO_CACHE
    assert declared["persist_result"] is False
