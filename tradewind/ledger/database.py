# SPDX-License-Identifier: Apache-2.0
"""Open the ledger's database, brought up to date."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlmodel import create_engine

from tradewind.errors import ConnectionFailedError, OptionError, TradewindError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"

# Seconds to wait for another process's transaction on a SQLite file; each takes milliseconds.
PATIENCE = 30

# Any number does, as long as nobody else uses it in the same database.
_LOCK: Final = 0x7472_6164

# A SQLite database in memory.
_NOTHING: Final = "sqlite://"


def open_database(place: str) -> Engine:
    """Open a SQLite file (a plain path) or any SQLAlchemy URL, and run missing migrations.

    Two processes may do that at the same time: one waits for the other.
    """
    engine = _engine(place)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _upgrade(connection)
    except DatabaseError as error:
        engine.dispose()
        raise refusal(engine.url, error) from None
    return engine


def without_password(place: str) -> str:
    """Write a database's URL so that it can be shown; a path stays as it is."""
    return make_url(place).render_as_string() if "://" in place else place


def seen(place: str) -> str:
    """Name what to open for a look: where no file is yet, an empty database that leaves none."""
    if "://" in place and make_url(place).get_backend_name() != "sqlite":
        return place
    path = Path(make_url(place).database or "" if "://" in place else place).expanduser()
    return place if path.exists() else _NOTHING


def refusal(url: URL, error: DatabaseError) -> TradewindError:
    """Return what a database refused in our own tree; transient when it may pass with time."""
    message = f"ledger {url.render_as_string()}: {error.orig}"  # its password is masked
    # A locked file is free again later, as a server is reachable again; anything else stays.
    lasting = not isinstance(error, OperationalError) or (
        url.get_backend_name() == "sqlite" and "locked" not in str(error.orig)
    )
    if lasting:
        return OptionError(
            f"option sqlite_database_file: {message}",
            "name a file that this account may write to, or another database",
        )
    return ConnectionFailedError(
        message, "see that the database runs, or name another one in sqlite_database_file"
    )


def _engine(place: str) -> Engine:
    if "://" not in place:
        return _sqlite(Path(place).expanduser())
    try:
        url = make_url(place)
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            return _sqlite(Path(url.database or ""))
        return _server(url)
    except (ArgumentError, ImportError) as error:
        raise OptionError(
            f"option sqlite_database_file: not a usable SQLAlchemy URL ({error})",
            "give a path, or a URL such as postgresql+psycopg://host/database",
        ) from None


def _sqlite(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"option sqlite_database_file: {path.parent} cannot be made ({error.strerror})",
            "name a file in a folder that this account may write to",
        ) from None
    # Not as text: a path may contain what means something in a URL.
    return _file(URL.create("sqlite", database=str(path)))


# An engine keeps its compiled statements when it is disposed of. A ledger is opened for nearly
# every step, and to compile anew takes longer than all that is asked of it.
@cache
def _server(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True)


@cache
def _file(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _lock_at_once)
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html, "Serializable isolation": sqlite3
    # begins a transaction only before the first write, which is too late to exclude anybody.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _lock_at_once(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection) -> None:
    # To let Alembic find that out takes 14 ms.
    if MigrationContext.configure(connection).get_current_revision() == _newest():
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
