# SPDX-License-Identifier: Apache-2.0
"""A process that was told to end is gone in time, whatever hangs, and says what it kept."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tradewind import ending
from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import HypervisorError, LateError

# What a flow is when its host is cut off: the main thread hangs in C, where Python hears nothing.
DEAF = """
import ctypes, sys
from tradewind import ending
ending.PATIENCE = 1.0
ending.listen()
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
c, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
c.pthread_mutex_lock(lock)
print("hangs", flush=True)
with ending.lent("worker of run 0123"):
    c.pthread_mutex_lock(lock)
"""


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The process of the tests lives on."""
    left: list[str] = []
    monkeypatch.setattr(ending, "leave", lambda: left.append("left"))
    yield left
    ending.forget()


def test_process_that_hears_nothing_ends_and_says_what_it_kept() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == ending.STATUS
    assert "not given back: worker of run 0123" in said
    assert "tradewind sweep" in said


def test_clock_ends_the_process_once(
    told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.0)
    gone = threading.Event()
    monkeypatch.setattr(ending, "leave", gone.set)
    assert not ending.has_begun()
    with ending.lent("backup job of web"):
        ending.begin()
        ending.begin()
        assert ending.has_begun()
        assert gone.wait(30)
    assert capsys.readouterr().err.count("not given back: backup job of web") == 1


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (KeyboardInterrupt(), True),
        (SystemExit(1), True),
        (HypervisorError("no"), False),
        (GeneratorExit(), False),
    ],
)
def test_signals_exception_is_told_from_a_failure(error: BaseException, ends: bool) -> None:
    assert ending.means_the_end(error) is ends


def test_what_hangs_keeps_nothing_else_from_being_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "EACH", 0.1)
    monkeypatch.setattr(ending, "LEAST", 0.1)
    release, undone = threading.Event(), []
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        cleanup_on_exit(release.wait, lambda: undone.append("claim"), what="worker"),
    ):
        raise KeyboardInterrupt
    release.set()
    assert undone == ["claim"]
    assert "worker: no answer" in caught.value.__notes__[0]


def test_what_could_not_be_given_back_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Prefect ends the process with the signal's default action when the flow has ended."""

    def fail() -> None:
        raise HypervisorError("the host is silent")

    with pytest.raises(KeyboardInterrupt), cleanup_on_exit(fail, what="worker of run 0123"):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert "not given back: worker of run 0123: the host is silent" in said
    assert "tradewind sweep" in said


def test_failure_is_no_end() -> None:
    with pytest.raises(HypervisorError), cleanup_on_exit(lambda: None):
        raise HypervisorError("no")
    assert not ending.has_begun()


def test_late_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "EACH", 0.05)
    monkeypatch.setattr(ending, "LEAST", 0.05)
    release = threading.Event()
    with pytest.raises(LateError, match="discard: no answer"):
        ending.bounded(release.wait, "discard")
    release.set()
    assert ending.bounded(lambda: 5, "count") == 5
