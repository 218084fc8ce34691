# SPDX-License-Identifier: Apache-2.0
"""A libvirt that speaks another language is understood by its codes."""

import json
import os
import subprocess
import sys

import pytest

from tradewind.host.domain import backup


@pytest.mark.parametrize("language", ["zh_CN", "ja", "ko", "ru", "uk"])
def test_libvirt_in_another_language_leads_to_the_same(language: str) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": language}
    asked = subprocess.run(
        [sys.executable, "-m", "tests.fakes.foreign_libvirt"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert not found.pop("said").isascii()  # it does speak it
    assert found == {
        "label": None,
        "job of a driver without backups": None,
        "missing": "NotFoundError",
        "begun": [None, True, backup.BROKEN],
    }
