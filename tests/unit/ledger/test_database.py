# SPDX-License-Identifier: Apache-2.0
"""Opening: forms of the place, migrations, refusals."""

import contextlib
import importlib.util
import io
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tradewind.errors import ConnectionFailedError, OptionError
from tradewind.ledger import database, open_ledger, tables
from tradewind.ledger.database import open_database, refusal, seen

MIGRATIONS = Path(tables.__file__).parent / "migrations" / "versions"


def revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def test_migrations_from_nothing_lead_to_the_tables(place: str) -> None:
    engine = open_database(place)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_compare_would_see_a_forgotten_migration(place: str) -> None:
    engine = open_database(place)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE disk DROP COLUMN serial"))
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert len(compare_metadata(context, tables.metadata)) == 1
    engine.dispose()


def test_head_is_the_newest_migration(place: str) -> None:
    engine = open_database(place)
    newest = max(path.name for path in MIGRATIONS.glob("[0-9]*.py"))
    assert newest.startswith(revision(engine))
    engine.dispose()


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_migrations_are_words_that_each_database_knows(dialect: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        migration.upgrade()
        migration.downgrade()
    assert "CREATE TABLE" in written.getvalue() or "ADD COLUMN" in written.getvalue()
    assert "DROP TABLE" in written.getvalue() or "DROP COLUMN" in written.getvalue()


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_path_and_urls_mean_the_same_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / "deep" / "er" / "ledger.sqlite"
    with open_ledger(form.format(file)):
        assert file.exists()


def test_name_that_means_something_in_a_url(tmp_path: Path) -> None:
    file = tmp_path / "50% ? of#it.sqlite"
    with open_ledger(str(file)):
        assert file.exists()


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_ledger("~/ledger.sqlite"):
        assert (tmp_path / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/proc/nowhere/ledger.sqlite", "/proc/nowhere cannot be made"),
        ("/proc/ledger.sqlite", "unable to open database file"),
        ("nosuchdb://host/ledger", "not a usable SQLAlchemy URL"),
        ("postgresql+nosuchdriver://host/ledger", "not a usable SQLAlchemy URL"),
        ("sqlite+", "unable to open|cannot be made|not a usable"),
    ],
)
def test_place_that_cannot_be(
    place: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if place == "sqlite+":
        (tmp_path / place).mkdir()  # a folder where the file should be
    with (
        pytest.raises(OptionError, match=f"option sqlite_database_file.*({reason})") as caught,
        open_ledger(place),
    ):
        pass
    assert caught.value.hint


def test_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not a database at all, but long enough to be looked at. " * 40)
    with pytest.raises(OptionError, match="file is not a database"), open_ledger(str(file)):
        pass


def test_server_that_does_not_answer() -> None:
    url = make_url("postgresql+psycopg://tradewind:hunter2@db.example/ledger")
    error = refusal(url, OperationalError("SELECT 1", None, Exception("connection refused")))
    assert isinstance(error, ConnectionFailedError)
    assert error.transient
    assert "db.example" in error.message
    assert "hunter2" not in str(error)


def test_locked_file_may_be_free_a_little_later(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    with open_ledger(place), contextlib.closing(sqlite3.connect(place)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConnectionFailedError, match="locked") as caught, open_ledger(place):
            pass
        assert caught.value.transient


# In processes of their own: a fork of a test process that runs a Prefect harness is no clean one.
_OPEN = """
import pathlib, sys, time
from tradewind.ledger import open_ledger
print("ready", flush=True)
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.002)
with open_ledger(sys.argv[1]):
    pass
"""


def test_two_processes_open_a_new_ledger_at_once(place: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    argv = [sys.executable, "-c", _OPEN, place, str(gate)]
    openers = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    gate.touch()
    ended = [(opener.communicate(timeout=60)[1], opener.returncode) for opener in openers]
    assert [status for _, status in ended] == [0, 0], ended


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_look_makes_no_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / "new" / "ledger.sqlite"
    with open_ledger(seen(form.format(file))) as ledger:
        assert ledger.replicas() == []
        assert ledger.outages.open() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_look_at_a_file_that_is_there(tmp_path: Path, form: str) -> None:
    file = tmp_path / "ledger.sqlite"
    file.touch()
    assert seen(form.format(file)) == form.format(file)
    assert seen("postgresql://host/db") == "postgresql://host/db"
