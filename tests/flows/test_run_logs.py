# SPDX-License-Identifier: Apache-2.0
"""What the log of a real run says of errors: expected ones in their words, defects with all."""

import logging

import pytest
from prefect import flow

from tasks.step import step
from tradewind.errors import NotFoundError


@step("look")
def look(error: Exception) -> None:
    raise error


@flow
def hapless(error: Exception) -> None:
    look(error)


def said_of(error: Exception, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.INFO), pytest.raises(type(error)):
        hapless(error)
    return "\n".join(logging.Formatter().format(record) for record in caplog.records)


def test_expected_error_is_said_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = NotFoundError("no pool “fast”", "choose one of: default")
    error.add_note("Besides, the worker is still there")
    said = said_of(error, caplog)
    assert "Traceback" not in said
    assert "NotFoundError: no pool “fast”\n  → choose one of: default\nBesides, the worker" in said


def test_defect_of_ours_is_said_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    said = said_of(ZeroDivisionError("a defect"), caplog)
    assert "Traceback" in said
    assert "a defect" in said
