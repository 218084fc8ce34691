# SPDX-License-Identifier: Apache-2.0
"""Machines chosen by name, by pattern, by tag."""

from typing import Any

import pytest
from pydantic import ValidationError

from tradewind.errors import NotFoundError
from tradewind.model.groups import GroupRequest, MachineSelection
from tradewind.model.machine import MachineSummary, PowerState
from tradewind.model.requests import SourceKind, TransferRequest
from tradewind.sources.selection import choose


def machine(name: str, *tags: str) -> MachineSummary:
    return MachineSummary(id=f"id-{name}", name=name, power=PowerState.RUNNING, tags=tags)


THERE = [machine("web-2"), machine("web-1", "nightly"), machine("db", "nightly", "big")]


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ({"names": ["db"]}, ["db"]),
        ({"names": ["id-db"]}, ["db"]),
        ({"patterns": ["web-*"]}, ["web-1", "web-2"]),
        ({"patterns": ["*-?"]}, ["web-1", "web-2"]),
        ({"tags": ["nightly"]}, ["db", "web-1"]),
        ({"names": ["web-2", "web-1"], "patterns": ["web-1"], "tags": ["big"]}, None),
    ],
)
def test_every_machine_that_fits_is_chosen_once(
    selection: dict[str, Any], chosen: list[str] | None
) -> None:
    found = choose(THERE, MachineSelection.model_validate(selection), "old")
    assert [machine.name for machine in found] == (chosen or ["db", "web-1", "web-2"])


def test_a_machine_that_cannot_be_read_may_bear_any_tag() -> None:
    broken = machine("odd").model_copy(update={"problem": "odd.toml is not TOML"})
    there = [*THERE, broken]
    found = choose(there, MachineSelection(tags=("big",)), "old")
    assert [each.name for each in found] == ["db", "odd"]
    found = choose(there, MachineSelection(names=("db",)), "old")
    assert [each.name for each in found] == ["db"]


def test_every_word_that_fits_nothing_is_named() -> None:
    selection = MachineSelection(names=("web-1", "web"), patterns=("WEB-*",), tags=("weekly",))
    with pytest.raises(NotFoundError) as caught:
        choose(THERE, selection, "old")
    assert caught.value.message == (
        "on old: no machine is called “web”; no machine fits “WEB-*”;"
        " no machine bears the tag “weekly”"
    )
    assert caught.value.hint == "there are: db (nightly, big), web-1 (nightly), web-2"


def test_source_without_machines() -> None:
    with pytest.raises(NotFoundError, match="there are: none"):
        choose([], MachineSelection(tags=("nightly",)), "old")


def test_selection_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="give names, patterns or tags"):
        MachineSelection()


def request(**changes: Any) -> GroupRequest:
    plain = {"machines": {"names": ["db"]}, "source": "old", "destination": "new"}
    return GroupRequest.model_validate({**plain, **changes})


def test_group_asks_for_a_machine_as_it_was_asked() -> None:
    asked = request(overrides={"set_dhcp": False}, storage_map={"default": "fast"}, lag_warning=60)
    assert asked.transfer_of(machine("db")) == TransferRequest.model_validate(
        {
            "machine": "db",
            "source": "old",
            "destination": "new",
            "overrides": {"set_dhcp": False},
            "storage_map": {"default": "fast"},
        }
    )


def test_description_of_images_is_found_by_its_file() -> None:
    asked = request(source_kind=SourceKind.IMAGES)
    assert asked.transfer_of(machine("db")).machine == "id-db"


def test_whatever_a_transfer_takes_a_group_takes_too() -> None:
    assert set(TransferRequest.model_fields) - {"machine"} <= set(GroupRequest.model_fields)
