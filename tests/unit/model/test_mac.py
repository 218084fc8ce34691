# SPDX-License-Identifier: Apache-2.0
"""MAC addresses have one spelling."""

import pytest
from pydantic import TypeAdapter

from tradewind.model.mac import Mac, read_mac
from tradewind.model.machine import Nic


@pytest.mark.parametrize(
    "text", ["52:54:00:1a:2b:3c", "52:54:00:1A:2B:3C", "52-54-00-1A-2B-3C", " 52:54:00:1a:2b:3c\n"]
)
def test_each_spelling_is_read_as_the_kernel_writes_it(text: str) -> None:
    assert read_mac(text) == "52:54:00:1a:2b:3c"
    assert Nic(mac=text).mac == "52:54:00:1a:2b:3c"


@pytest.mark.parametrize(
    "text", ["", "52:54:00:1a:2b", "52:54:00:1a:2b:3c:4d", "52-54:00:1a:2b:3c", "5254.001a.2b3c"]
)
def test_what_is_no_address_stays_to_be_told(text: str) -> None:
    assert read_mac(text) == ""
    assert TypeAdapter(Mac).validate_python(text) == text
