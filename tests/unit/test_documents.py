# SPDX-License-Identifier: Apache-2.0
"""What the documentation promises to have a section for."""

import re
from pathlib import Path

from docs import reference
from tradewind import errors
from tradewind.model.options import OptionFields

DOCS = Path(reference.__file__).parent


def test_every_class_of_error_has_its_section_in_troubleshooting() -> None:
    classes = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.TradewindError)
    }
    text = (DOCS / "troubleshooting.md").read_text()
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == classes


def test_the_reference_has_every_option_command_and_request() -> None:
    options, commands = reference.options(), reference.commands()
    for name in OptionFields.model_fields:
        assert f"| `{name}` |" in options
    for command in ("transfer run", "endpoint add", "schedule add-group"):
        assert f"`tradewind {command}`" in commands
    for model in (*reference.requests(), *reference.json_output()):
        assert reference.table(model).count("\n") == len(model.model_fields) + 2
    assert {"TransferRequest", "OptionOverrides"} <= {m.__name__ for m in reference.requests()}
