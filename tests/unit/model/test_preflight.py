# SPDX-License-Identifier: Apache-2.0
"""What a preflight came to."""

import pytest
from pydantic import ValidationError

from tradewind.model.finding import Finding, Severity
from tradewind.model.preflight import Area, AreaFindings, PreflightReport


def report(*areas: AreaFindings) -> PreflightReport:
    return PreflightReport(machine="web", source="old", destination="new", areas=areas)


def finding(severity: Severity, what: str) -> Finding:
    return Finding(severity=severity, what=what, remedy="mend it", evidence="virsh says so")


def test_serious_findings_come_first() -> None:
    seen = report(
        AreaFindings(
            area=Area.WORKER, findings=(finding(Severity.NOTE, "a"), finding(Severity.ERROR, "b"))
        ),
        AreaFindings(
            area=Area.NEW_MACHINE,
            findings=(finding(Severity.WARNING, "c"), finding(Severity.ERROR, "d")),
        ),
    )
    assert [(area, found.what) for area, found in seen.sorted_findings()] == [
        (Area.WORKER, "b"),
        (Area.NEW_MACHINE, "d"),
        (Area.NEW_MACHINE, "c"),
        (Area.WORKER, "a"),
    ]
    assert not seen.ready


def test_warnings_do_not_keep_a_machine_from_moving() -> None:
    light = (finding(Severity.WARNING, "c"), finding(Severity.NOTE, "n"))
    assert report(AreaFindings(area=Area.GUEST, findings=light)).ready
    assert report().ready


@pytest.mark.parametrize("lacking", ["what", "evidence", "remedy"])
def test_no_finding_leaves_out_what_a_person_needs(lacking: str) -> None:
    whole = {"what": "a", "evidence": "b", "remedy": "c", "severity": Severity.NOTE}
    assert Finding.model_validate(whole).what == "a"
    with pytest.raises(ValidationError, match=lacking):
        Finding.model_validate({**whole, lacking: ""})
