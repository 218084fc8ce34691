# SPDX-License-Identifier: Apache-2.0
"""Quotes around values."""

import pytest

from tradewind.model.quotes import unquoted


@pytest.mark.parametrize(
    "value",
    ['"fast"', "'fast'", "“fast”", "„fast“", "‘fast’", "«fast»", "»fast«", "”fast”", "fast"],
)
def test_a_pair_around_a_value_is_no_part_of_it(value: str) -> None:
    assert unquoted(value) == "fast"


@pytest.mark.parametrize("value", ['"', "", "fast”", '"fast', "o'clock", "'a\"", "“a"])
def test_what_is_no_pair_stays(value: str) -> None:
    assert unquoted(value) == value
