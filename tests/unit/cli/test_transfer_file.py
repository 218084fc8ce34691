# SPDX-License-Identifier: Apache-2.0
"""A file of transfers is read whole, or refused with what is wrong in which line."""

from pathlib import Path

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from cli.transfer_file import NewTransfer, read_transfers
from tradewind.errors import BadInputError, OptionError
from tradewind.model.requests import SourceKind

FOR_ALL = {"from": "old", "to": "new", "timezone": "UTC", "options": "default"}


def read(tmp_path: Path, text: str, **for_all: str) -> list[NewTransfer]:
    path = tmp_path / "fleet.csv"
    path.write_text(text, encoding="utf-8")
    return read_transfers(path, {**FOR_ALL, **for_all})


def test_a_line_says_what_the_command_line_does_not(tmp_path: Path) -> None:
    text = (
        "machine,name,from,storage,set,track-changes,lag-warning,cron,exact\n"
        "web,,,,,,,,\n"
        "db,base,older,sda=fast;slow,add_tpm_device=no,no,60,0 2 * * *,yes\n"
    )
    web, db = read(tmp_path, text)
    assert (web.name, web.schedule) == ("web-from-old-to-new", None)
    assert (web.request.source, web.request.destination) == ("old", "new")
    assert web.request.track_changes
    assert (db.name, db.request.source) == ("base", "older")
    assert (db.request.storage_map.disks, db.request.storage_map.default) == (
        {"sda": "fast"},
        "slow",
    )
    assert db.request.overrides.add_tpm_device is False
    assert (db.request.track_changes, db.request.lag_warning) == (False, 60)
    assert isinstance(db.schedule, CronSchedule)
    assert db.schedule.cron == "0 2 * * *"


def test_a_line_with_a_schedule_of_its_own_takes_none_of_all(tmp_path: Path) -> None:
    text = "machine,cron\nweb,\ndb,0 2 * * *\n"
    web, db = read(tmp_path, text, every="4h")
    assert isinstance(web.schedule, IntervalSchedule)
    assert isinstance(db.schedule, CronSchedule)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_it_is_read_as_spreadsheets_write_it(tmp_path: Path, between: str) -> None:
    text = "\ufeffmachine,images\r\nweb,yes\r\n\r\n".replace(",", between)
    (web,) = read(tmp_path, text, every="4h")
    assert web.request.source_kind is SourceKind.IMAGES
    assert web.schedule is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("machine,colour\nweb,red\n", "unknown column “colour”"),
        ("name\nweb\n", "no column “machine”"),
        ("", "no column “machine”"),
        ("machine\n", "no transfer is in it"),
        ("machine,name\nweb,a\ndb,a\n", "the same name: a"),
        ("machine\nweb,,\n", "line 2: more cells than columns"),
        ("machine,lag-warning\nweb,soon\n", "line 2: lag-warning: “soon” is no number"),
        ("machine,exact\nweb,perhaps\n", "line 2: exact: “perhaps” is neither yes nor no"),
        ("machine,every\nweb,soon\n", "line 2: --every “soon” is no interval"),
        ("machine,name\n,web\n", "line 2: machine"),
        ("machine,set\nweb,colour=red\n", "line 2: .*colour"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read(tmp_path, text)


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="2 problems") as caught:
        read(tmp_path, "machine,every\nweb,soon\nmail,1h\ndb,never\n")
    assert "line 2: --every “soon”" in str(caught.value)
    assert "line 4: --every “never”" in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_transfers(tmp_path / "nowhere.csv", FOR_ALL)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("machine\nbüro\n".encode("latin-1"))
    with pytest.raises(OptionError, match="cannot be read"):
        read_transfers(latin, FOR_ALL)


def test_without_ends_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text("machine\nweb\n")
    with pytest.raises(OptionError, match="line 2: nothing says “from”"):
        read_transfers(path, {})
