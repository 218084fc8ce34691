# SPDX-License-Identifier: Apache-2.0
import threading
from dataclasses import dataclass

import pytest

from tests.fakes.memory import MemoryTarget, MemoryWriter
from tradewind.errors import CancelledError, StreamError
from tradewind.streaming.distance import FAR, NEAR, connections_for


@dataclass
class DistantWriter(MemoryWriter):
    seconds: float = 0.0

    def round_trip(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("seconds", "connections"), [(0.0003, NEAR), (0.02, FAR)])
def test_far_away_there_are_more_connections(seconds: float, connections: int) -> None:
    writer = DistantWriter(MemoryTarget(bytearray(1)), seconds=seconds)
    assert connections_for(lambda: writer, threading.Event()) == connections
    assert writer.is_closed


def test_who_does_not_know_the_distance_is_near() -> None:
    writer = MemoryWriter(MemoryTarget(bytearray(1)))
    assert connections_for(lambda: writer, threading.Event()) == NEAR


def test_a_stop_does_not_wait_for_the_connection() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()

    ended = threading.Event()

    def hang() -> MemoryWriter:
        ended.wait(60)
        raise StreamError("it came to nothing")

    with pytest.raises(CancelledError):
        connections_for(hang, stop)
    assert not ended.is_set()
    ended.set()
