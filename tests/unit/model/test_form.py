# SPDX-License-Identifier: Apache-2.0
"""The forms that Prefect's UI makes of the flows' parameters, and what they refuse."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import build_error_obj, validate

from deployments.project import planned

SCHEMAS = {plan.name: plan.schema() for plan in planned()}
ENDS = {"machine": "web", "source": "old", "destination": "new"}


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """List the parameters, and the fields of every record below them."""
    records = schema.get("definitions", {})
    for title, record in {"": schema, **records}.items():
        for name, said in record.get("properties", {}).items():
            # As the form does: what stands beside a reference comes first.
            meant = records.get(said.get("$ref", "").rpartition("/")[2], {})
            yield f"{title}.{name}", {**meant, **said}


@pytest.mark.parametrize("flow", SCHEMAS)
def test_every_field_says_what_it_is(flow: str) -> None:
    for name, said in fields(SCHEMAS[flow]):
        title = said["title"]
        assert title[0].isupper() or title.startswith("vCPU"), name
        assert "_" not in title, name
        # The titles of a topology say it all: cores of each socket.
        assert name.startswith("CpuTopology") or said["description"].endswith("."), name


@pytest.mark.parametrize("flow", SCHEMAS)
def test_fields_have_places_and_no_choice_of_none(flow: str) -> None:
    """PostgreSQL keeps no order; a choice of "str" and "None" is nothing that a person means."""
    for name, said in fields(SCHEMAS[flow]):
        assert isinstance(said["position"], int), name
        nothing = [each for each in said.get("anyOf", ()) if each.get("type") == "null"]
        assert all("title" in each for each in nothing), name
        assert said.get("default", "") is not None, name


@pytest.mark.parametrize("flow", SCHEMAS)
def test_no_choice_is_empty(flow: str) -> None:
    for name, record in SCHEMAS[flow].get("definitions", {}).items():
        assert all(record.get("enum", ("some",))), name


def refused(**request: Any) -> Any:
    """Say what Prefect's form shows beside its fields, as field → sentences."""
    said = validate({"request": {**ENDS, **request}}, SCHEMAS["transfer"])
    (about,) = build_error_obj(said)["errors"]
    return {each["property"]: each["errors"] for each in about["errors"]}


@pytest.mark.parametrize(
    ("request_", "field", "sentence"),
    [
        ({"machine": ""}, "machine", "'' should be non-empty"),
        ({"lag_warning": 0}, "lag_warning", "0 is less than the minimum of 1"),
        ({"source_kind": "tape"}, "source_kind", "'tape' is not one of"),
        ({"overrides": {"default_pool": 1}}, "overrides", "('default_pool' was unexpected)"),
        ({"overrides": {"migr_worker_memory": 5}}, "overrides", "less than the minimum of 256"),
        ({"overrides": {"cpu_mode": "486"}}, "overrides", "'486' is not one of"),
        ({"storage_map": {"disks": {"sda": 1}}}, "storage_map", "1 is not of type 'string'"),
    ],
)
def test_refusal_names_the_field_and_what_is_wrong(
    request_: dict[str, Any], field: str, sentence: str
) -> None:
    assert sentence in str(refused(**request_)[field])


def test_missing_field_is_named() -> None:
    said = validate({"request": {"machine": "web"}}, SCHEMAS["transfer"])
    (about,) = build_error_obj(said)["errors"]
    assert {each["property"] for each in about["errors"]} == {"source", "destination"}


@pytest.mark.parametrize(
    "request_",
    [
        {"overrides": {}, "storage_map": {}},
        {"overrides": {"set_dhcp": False, "migr_worker_memory": 512}},
        {"storage_map": {"disks": {"sda": "fast"}, "default": None}},
        {"lag_warning": None, "bandwidth_limit": None},
    ],
)
def test_what_fits_is_taken(request_: dict[str, Any]) -> None:
    assert not validate({"request": {**ENDS, **request_}}, SCHEMAS["transfer"])
