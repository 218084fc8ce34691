# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for a while: an unprivileged process in a folder of its own."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "nobody"  # PostgreSQL refuses to run as root


@dataclass(frozen=True)
class Postgres:
    """A server; `password_file` is what libpq calls PGPASSFILE."""

    port: int
    password: str
    password_file: Path

    def create(self, database: str) -> None:
        self.sql(f'CREATE DATABASE "{database}"')

    def url(self, driver: str, database: str, *, password: bool = False) -> str:
        word = f":{self.password}" if password else ""
        return f"postgresql+{driver}://tradewind{word}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        return self._run("psql", "-Atqc", statement, database).strip()

    def dump(self, database: str) -> bytes:
        """Write out every row of a database, as pg_dump does."""
        return self._run("pg_dump", "--data-only", database).encode()

    def _run(self, program: str, *words: str) -> str:
        argv = [program, "-h", "127.0.0.1", "-p", str(self.port), "-U", "tradewind", *words]
        environment = {**os.environ, "PGPASSFILE": str(self.password_file)}
        done = subprocess.run(argv, env=environment, text=True, check=True, capture_output=True)
        return done.stdout


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Lend a server that asks for a password; when it ends, nothing of it is left."""
    # Not below pytest's folder: that one is private to root.
    folder = Path(tempfile.mkdtemp(prefix="tradewind-postgres-"))
    try:
        shutil.chown(folder, ACCOUNT)
        made = _prepare(folder)
        with _running(folder, made):
            yield made
    finally:
        shutil.rmtree(folder)


def _prepare(folder: Path) -> Postgres:
    password, port = secrets.token_urlsafe(12), _free_port()
    first = folder / "password"
    first.write_text(password)
    first.chmod(0o644)
    program = ["initdb", "-D", str(folder / "data"), "-U", "tradewind", "--auth=scram-sha-256"]
    argv = _as_account(*program, f"--pwfile={first}", "--no-sync", "--encoding=UTF8")
    subprocess.run(argv, check=True, capture_output=True, cwd=folder)
    first.unlink()
    password_file = folder / "pgpass"
    password_file.write_text(f"127.0.0.1:{port}:*:tradewind:{password}\n")
    password_file.chmod(0o600)
    return Postgres(port=port, password=password, password_file=password_file)


@contextmanager
def _running(folder: Path, made: Postgres) -> Iterator[None]:
    options = ["-p", str(made.port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"]
    program = ["postgres", "-D", str(folder / "data"), *options, "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_as_account(*program), stdout=log, stderr=log, cwd=folder)
    try:
        _wait(process, made, folder / "log")
        yield
    finally:
        process.send_signal(2)  # "fast": who is connected is thrown out
        process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", made: Postgres, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            made.sql("SELECT 1")
        except subprocess.CalledProcessError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text())


def _as_account(program: str, *words: str) -> list[str]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    argv = [str(folders[-1] / program), *words]
    return ["setpriv", "--reuid", ACCOUNT, "--regid", "nogroup", "--clear-groups", "--", *argv]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
