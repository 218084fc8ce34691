# SPDX-License-Identifier: Apache-2.0
"""Names that there are, told to somebody who asked for another one."""

from tradewind.nearest import listed


def test_a_few_are_all_named() -> None:
    assert listed(["web2", "web1"], "web3") == "web1, web2"
    assert listed([], "web3") == "none"
    assert listed([], "web3", none="none; define one first") == "none; define one first"


def test_of_a_thousand_the_nearest_three_are_named() -> None:
    names = [f"db{number:04}" for number in range(1000)] + ["Web-Front", "web-back"]
    said = listed(names, "web-fornt")
    assert said.startswith("Web-Front, web-back, ")
    assert said.endswith(", and 999 more")
    assert len(said) < 80


def test_names_that_differ_in_case_are_counted() -> None:
    names = ["WEB", "web", *(f"x{number}" for number in range(20))]
    assert listed(names, "wep").endswith(f", and {len(names) - 3} more")
