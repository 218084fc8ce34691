# SPDX-License-Identifier: Apache-2.0
"""What every morphing step owes: two functions, a sentence, and a place in the plan."""

import inspect
import pkgutil
from types import ModuleType
from typing import cast

import pytest

from tradewind.morphing.linux import steps
from tradewind.morphing.plan import STEPS

MODULES = [cast("ModuleType", step) for step in STEPS]


@pytest.mark.parametrize("step", MODULES, ids=lambda step: step.__name__)
def test_a_step_is_two_functions_and_a_sentence(step: ModuleType) -> None:
    assert list(inspect.signature(step.applies_to).parameters) == ["os", "options"]
    assert list(inspect.signature(step.apply).parameters) == ["guest", "os", "options"]
    assert step.__doc__ is not None
    sentence = step.__doc__.strip()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert step.apply.__doc__


def test_every_module_is_in_the_plan() -> None:
    present = {f"{steps.__name__}.{module.name}" for module in pkgutil.iter_modules(steps.__path__)}
    assert present == {step.__name__ for step in MODULES}
