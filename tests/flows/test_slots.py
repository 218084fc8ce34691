# SPDX-License-Identifier: Apache-2.0
"""Slots on hosts: taken on both ends, waited for, given back."""

import threading
import time
from collections.abc import Iterator

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from tasks.transfer.slots import limit_host, slot_name, slots
from tradewind.model.requests import SourceKind, TransferRequest


@flow
def work(source: str, kind: SourceKind = SourceKind.LIBVIRT) -> dict[str, int]:
    """Say how many slots are taken meanwhile."""
    request = TransferRequest(machine="web", source=source, source_kind=kind, destination="new")
    with slots(request):
        return taken()


def taken() -> dict[str, int]:
    with get_client(sync_client=True) as client:
        return {
            limit.name.removeprefix("tradewind-host-"): limit.active_slots
            for limit in client.read_global_concurrency_limits()
        }


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    for host in ("old", "new"):
        limit_host(host, 1)
    yield
    for host in ("old", "new", "never-limited"):
        limit_host(host, 0)
    assert taken() == {}


def test_a_slot_on_each_host_is_lent() -> None:
    assert work("old") == {"old": 1, "new": 1}
    assert taken() == {"old": 0, "new": 0}


def test_host_without_a_limit_takes_as_many_as_come(caplog: pytest.LogCaptureFixture) -> None:
    assert work("elsewhere") == {"old": 0, "new": 1}
    assert "do not exist" not in caplog.text


def test_folder_of_images_is_no_host() -> None:
    assert work("old", SourceKind.IMAGES) == {"old": 0, "new": 1}


def wait_for_text(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Return when it is in the log, or after a minute."""
    deadline = time.monotonic() + 60
    while words not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)


def test_slot_that_is_taken_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    waits = "Waiting for a slot: all 1 of tradewind-host-old are taken."
    cleanup_on_exit: list[float] = []
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots([slot_name("old")], 1, "concurrency")

        def give_back() -> None:
            wait_for_text(caplog, waits)
            cleanup_on_exit.append(time.monotonic())
            client.release_concurrency_slots([slot_name("old")], 1, 2.0)

        giving = threading.Thread(target=give_back)
        giving.start()
        assert work("old") == {"old": 1, "new": 1}
        worked = time.monotonic()
        giving.join()
    assert waits in caplog.text
    assert worked > cleanup_on_exit[0]
