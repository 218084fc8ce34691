# SPDX-License-Identifier: Apache-2.0
"""Scripts are read, and refused, before anything is made."""

from pathlib import Path

import pytest

from tradewind.errors import OptionError
from tradewind.model.requests import DeployRequest
from tradewind.model.scripts import Script, ScriptPhase
from tradewind.morphing import script_files

PLAIN = "#!/bin/sh\necho hello\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("linux/after-mount/20-b.sh", "linux/after-mount/10-a.sh", "suse/first-boot/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PLAIN)
    (tmp_path / "README.md").write_text("what is here")
    (tmp_path / "linux/after-mount/10-a.sh~").write_text("an editor's copy")
    (tmp_path / "linux/.git").mkdir()
    return tmp_path


def test_folder_is_read_in_order(folder: Path) -> None:
    found = script_files.load([], str(folder))
    assert [(each.scope, each.phase, each.name) for each in found] == [
        ("linux", ScriptPhase.AFTER_MOUNT, "10-a.sh"),
        ("linux", ScriptPhase.AFTER_MOUNT, "20-b.sh"),
        ("suse", ScriptPhase.FIRST_BOOT, "x"),
    ]
    assert {each.text for each in found} == {PLAIN}
    assert {each.time_limit for each in found} == {300}


def test_scripts_of_the_machine_come_last(folder: Path) -> None:
    own = [
        Script(phase=ScriptPhase.FIRST_BOOT, text=PLAIN, time_limit=7),
        Script(phase=ScriptPhase.AFTER_MOUNT, path=str(folder / "suse/first-boot/x")),
    ]
    *_, first, second = script_files.load(own, str(folder))
    assert (first.name, first.time_limit, first.scope) == ("script-1", 7, "")
    assert (second.name, second.text) == ("x", PLAIN)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"echo hello\n", "does not begin with #!"),
        (b"#!/bin/sh\r\necho\r\n", "Windows line ends"),
        (b"#!/bin/sh\n\xff\xfe", "is no text"),
        (b"#!" + b"x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_odd_scripts_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "odd.sh"
    file.write_bytes(content)
    with pytest.raises(OptionError, match=said) as caught:
        script_files.load([Script(phase=ScriptPhase.FIRST_BOOT, path=str(file))], None)
    assert str(file) in caught.value.message or "odd.sh" in caught.value.message


def test_missing_files_are_refused(tmp_path: Path) -> None:
    missing = Script(phase=ScriptPhase.FIRST_BOOT, path=str(tmp_path / "nothing.sh"))
    with pytest.raises(OptionError, match=r"nothing\.sh cannot be read: No such file"):
        script_files.load([missing], None)
    with pytest.raises(OptionError, match=r"scripts_folder: .* cannot be read"):
        script_files.load([], str(tmp_path / "nowhere"))


def test_a_phase_with_a_typo_is_refused(folder: Path) -> None:
    (folder / "linux" / "aftermount").mkdir()
    with pytest.raises(OptionError, match="aftermount is no phase") as caught:
        script_files.load([], str(folder))
    assert "before-mount, after-mount, first-boot" in caught.value.hint


@pytest.mark.parametrize("given", [{}, {"path": "/x", "text": PLAIN}])
def test_one_source_each(given: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="a file"):
        Script.model_validate({"phase": "first boot", **given})


def test_scripts_need_a_guest_that_is_touched() -> None:
    with pytest.raises(OptionError, match="nothing runs them"):
        DeployRequest(
            machine="web01",
            source="a",
            destination="b",
            skip_os_morphing=True,
            scripts_folder="/srv/scripts",
        )
