# SPDX-License-Identifier: Apache-2.0
"""What was seen before anything is touched."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from tradewind.model.record import Record

_Said = Annotated[str, StringConstraints(min_length=1)]


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(Record):
    """One thing that was seen; `evidence` is what shows it, in the words of who said it."""

    severity: Severity
    what: _Said
    evidence: _Said
    remedy: _Said


def error(what: str, remedy: str, evidence: str) -> Finding:
    """Something that would keep the work from being done."""
    return Finding(severity=Severity.ERROR, what=what, evidence=evidence, remedy=remedy)


def warning(what: str, remedy: str, evidence: str) -> Finding:
    """Something that a person should know before the work begins."""
    return Finding(severity=Severity.WARNING, what=what, evidence=evidence, remedy=remedy)


def note(what: str, remedy: str, evidence: str) -> Finding:
    """Something that may surprise, and does no harm."""
    return Finding(severity=Severity.NOTE, what=what, evidence=evidence, remedy=remedy)
