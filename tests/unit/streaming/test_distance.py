# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass

import pytest

from tests.fakes.memory import MemoryTarget, MemoryWriter
from tradewind.streaming.distance import FAR, NEAR, connections_for


@dataclass
class DistantWriter(MemoryWriter):
    seconds: float = 0.0

    def round_trip(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("seconds", "connections"), [(0.0003, NEAR), (0.02, FAR)])
def test_far_away_there_are_more_connections(seconds: float, connections: int) -> None:
    writer = DistantWriter(MemoryTarget(bytearray(1)), seconds=seconds)
    assert connections_for(writer) == connections


def test_who_does_not_know_the_distance_is_near() -> None:
    assert connections_for(MemoryWriter(MemoryTarget(bytearray(1)))) == NEAR
