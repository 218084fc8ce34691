# SPDX-License-Identifier: Apache-2.0
"""The judges of the fault matrix call what is wrong by its name: on stages that are made up."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.live.faults import judges, world
from tests.live.faults.courses import COURSES, Course, Stage
from tests.live.running import Running


@dataclass
class _Machine:
    name: str


@dataclass
class _Stage:
    """Machines in these states on the source and on the destination."""

    course: Course
    states: Mapping[str, tuple[str, str]]

    @property
    def machines(self) -> list[Running]:
        return [cast("Running", _Machine(name)) for name in self.states]

    def state_at_source(self, machine: Running) -> str:
        return self.states[machine.name][0]

    def state_at_destination(self, machine: Running) -> str:
        return self.states[machine.name][1]


def said(
    course: str, here: str, there: str, told: str = "", *, ran: bool = True, killed: bool = False
) -> list[str]:
    stage = cast("Stage", _Stage(COURSES[course], {"web": (here, there)}))
    return [each.partition(":")[0] for each in judges.places(stage, ran, told, killed=killed)]


RUNS, OFF, NO = judges.RUNNING, judges.OFF, judges.ABSENT


@pytest.mark.parametrize(
    ("here", "there", "told", "expected"),
    [
        (RUNS, NO, "", []),
        (OFF, RUNS, "", []),
        (RUNS, RUNS, "", ["double"]),
        (OFF, NO, "", ["lost"]),
        (OFF, OFF, "outage of another since 12:04", ["lost"]),
        (OFF, OFF, "outage of web since 12:04: source shut off", []),
        ("paused", NO, "", ["neither on nor off"]),
    ],
)
def test_a_move_ends_with_one_machine_or_says_so(
    here: str, there: str, told: str, expected: list[str]
) -> None:
    assert said("migrate", here, there, told) == expected


def test_what_a_move_says_has_to_be_true() -> None:
    told = "web runs on lab-source again"
    assert said("migrate", RUNS, NO, told) == []
    (wrong,) = said("migrate", OFF, RUNS, told)
    assert wrong.startswith("it is said to run on the source again")


def test_a_machine_that_is_copied_stays_as_it_is() -> None:
    assert said("update", RUNS, NO) == []
    assert said("update", OFF, NO) == ["not as before"]
    assert said("update", OFF, NO, killed=True) == []
    assert said("deploy", RUNS, NO, ran=False) == ["not as before"]
    assert said("rehearse", RUNS, OFF) == ["nobody asked for it"]


def test_a_disk_that_differs_in_a_byte_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    folder = tmp_path
    for name, content in (("one", b"a"), ("same", b"a"), ("other", b"b")):
        (folder / name).write_bytes(content * 65536)

    @dataclass
    class Copied(_Machine):
        disks: tuple[str, ...] = ("vda",)

        def image(self, _target: str) -> Path:
            return folder / "one"

    class Off(_Stage):
        @property
        def machines(self) -> list[Running]:
            return [cast("Running", Copied("web"))]

    stage = cast("Stage", Off(COURSES["update"], {"web": (OFF, NO)}))
    for copy, expected in (("same", 0), ("other", 1), ("missing", 1)):
        monkeypatch.setattr(judges, "_copies", lambda *_, copy=copy: {"vda": folder / copy})
        assert len(list(judges.same_contents(stage))) == expected


def test_what_stays_of_a_finished_machine_is_no_leftover() -> None:
    before = world.Host((), (), (), (), (), {"tpm": ()})
    after = world.Host(("web",), (), (), (), ("swtpm:uuid", "swtpm:x"), {"tpm": ("uuid", "x")})
    assert after.differences(before, frozenset({"web", "uuid"})) == [
        "processes left: swtpm:x",
        "tpm left: x",
    ]
