# SPDX-License-Identifier: Apache-2.0
"""What a preflight came to."""

from tradewind.model.finding import error, note, warning
from tradewind.model.preflight import Area, AreaFindings, PreflightReport


def report(*areas: AreaFindings) -> PreflightReport:
    return PreflightReport(machine="web", source="old", destination="new", areas=areas)


def test_serious_findings_come_first() -> None:
    seen = report(
        AreaFindings(area=Area.WORKER, findings=(note("a"), error("b"))),
        AreaFindings(area=Area.ARRIVAL, findings=(warning("c"), error("d"))),
    )
    assert [(area, found.what) for area, found in seen.sorted_findings()] == [
        (Area.WORKER, "b"),
        (Area.ARRIVAL, "d"),
        (Area.ARRIVAL, "c"),
        (Area.WORKER, "a"),
    ]
    assert not seen.ready


def test_warnings_do_not_keep_a_machine_from_moving() -> None:
    assert report(AreaFindings(area=Area.GUEST, findings=(warning("c"), note("n")))).ready
    assert report().ready
