# SPDX-License-Identifier: Apache-2.0
import pytest

from tradewind.units import (
    GiB,
    KiB,
    MiB,
    TiB,
    human_duration,
    human_rate,
    human_size,
    whole_duration,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KiB, "1.0 KiB"),
        (1.5 * MiB, "1.5 MiB"),
        (20 * GiB, "20.0 GiB"),
        (3 * TiB, "3.0 TiB"),
        (5000 * TiB, "5000.0 TiB"),
    ],
)
def test_sizes_with_the_largest_fitting_unit(size: float, text: str) -> None:
    assert human_size(size) == text


def test_rates() -> None:
    assert human_rate(170 * MiB, 2) == "85.0 MiB/s"
    assert human_rate(170 * MiB, 0) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (8.24, "8.2 s"),
        (60, "1 min 00 s"),
        (200.4, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(15, "15 s"), (90, "90 s"), (180, "3 min"), (5400, "90 min"), (14400, "4 h"), (172800, "2 d")],
)
def test_intervals_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert whole_duration(seconds) == text
