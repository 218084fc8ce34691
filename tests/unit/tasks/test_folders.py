# SPDX-License-Identifier: Apache-2.0
"""Which names of files in a request are looked at, and whose requests."""

from typing import Any

import pytest

from tasks import folders
from tradewind.errors import OptionError
from tradewind.model.deploy_options import DeployOptions
from tradewind.morphing import named_folders


@pytest.mark.parametrize(
    "deploy_options",
    [
        {"packages_folder": "/root/packages"},
        {"scripts_folder": "/root/scripts"},
        {"scripts": ({"phase": "after mount", "path": "/root/.ssh/id_ed25519"},)},
    ],
)
def test_each_name_of_a_file_is_looked_at(
    deploy_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = DeployOptions.model_validate(deploy_options)
    folders.require_deploy_options(asked)  # a person at the command line
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0")
    with pytest.raises(OptionError, match="/root/"):
        folders.require_deploy_options(asked)
    monkeypatch.setenv(named_folders.VARIABLE, "/srv:/root")
    folders.require_deploy_options(asked)


def test_text_of_a_script_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0")
    script = {"phase": "after mount", "text": "#!/bin/sh"}
    folders.require_deploy_options(DeployOptions.model_validate({"scripts": (script,)}))
