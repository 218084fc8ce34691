# SPDX-License-Identifier: Apache-2.0
"""Choices for the new machine, also under the name that they had."""

import pytest

from tradewind.model.migrate import MigrateRequest
from tradewind.model.preflight import PreflightRequest

TRANSFER = {"machine": "web", "source": "old", "destination": "new"}


@pytest.mark.parametrize("kind", [MigrateRequest, PreflightRequest])
def test_the_old_name_of_the_field_is_understood(
    kind: type[MigrateRequest] | type[PreflightRequest],
) -> None:
    old = kind.model_validate({"transfer": TRANSFER, "landing": {"name": "web-new"}})
    assert old.deploy_options.name == "web-new"
    assert old == kind.model_validate({"transfer": TRANSFER, "deploy_options": {"name": "web-new"}})
