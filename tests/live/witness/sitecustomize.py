# SPDX-License-Identifier: Apache-2.0
"""Note every secret that a process makes or loads: what a test then looks for everywhere.

Python runs this module when its folder is in PYTHONPATH. TRADEWIND_WITNESS names the file.
"""

import json
import os

from pydantic import SecretStr

from tradewind.worker import keys

_take_in, _make = SecretStr.__init__, keys.new_key_pair


def _note(secret: str) -> None:
    with open(os.environ["TRADEWIND_WITNESS"], "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{json.dumps(secret)}\n")


def _noted(self: SecretStr, value: str) -> None:
    _note(value)
    _take_in(self, value)


def _noted_pair() -> keys.KeyPair:
    """Note a worker's own host key too, which travels in its seed ISO as text."""
    pair = _make()
    _note(pair.private)
    return pair


SecretStr.__init__ = _noted  # type: ignore[method-assign, assignment]
keys.new_key_pair = _noted_pair
