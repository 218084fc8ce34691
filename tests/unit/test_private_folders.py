# SPDX-License-Identifier: Apache-2.0
"""Private folders: seen by nobody else, and gone when their process is, however it ends."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tradewind.private_folders import private_folder, remove_abandoned

KEEPER = """
import sys
from tradewind.private_folders import private_folder
with private_folder() as folder:
    (folder / "key").write_text("secret")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def keeper(place: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Lend a process that keeps a key, and its folder; its standard input is what it lives on."""
    environment = {**os.environ, "TMPDIR": str(place)}
    argv = [sys.executable, "-c", KEEPER]
    with subprocess.Popen(
        argv, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_only_this_account_can_look_into_it(place: Path) -> None:
    with private_folder() as one, private_folder() as other:
        assert one != other
        assert one.parent == other.parent
        assert one.parent.parent == place
        assert {one.stat().st_mode & 0o777, one.parent.stat().st_mode & 0o777} == {0o700}
        (one / "key").write_text("secret")
    assert list(place.iterdir()) == []


def test_a_socket_fits_into_it() -> None:
    """A unix socket's path has 107 characters at most, and forwarded ones get 17 for their name."""
    with private_folder() as folder:
        below = folder.relative_to(tempfile.gettempdir())
        assert len(f"/var/lib/tradewind/tmp/{below}/0123456789ab.sock") < 80


def test_killed_process_leaves_its_keys_until_the_next_one_comes(place: Path) -> None:
    with keeper(place) as (process, folder):
        process.kill()
    assert (folder / "key").exists()
    with private_folder():
        assert not folder.parent.exists()
        assert list(place.rglob("key")) == []


def test_living_process_keeps_its_own(place: Path) -> None:
    with keeper(place) as (process, folder):
        remove_abandoned()
        assert (folder / "key").read_text() == "secret"
        process.communicate("")
    assert list(place.iterdir()) == []  # it took its folder away itself


def test_what_is_not_ours_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tradewind-postgres-x", "tradewind-ab12cd34", "tradewind-77-elsewhere"):
        (place / name).mkdir()
    (place / "tradewind-78-link").symlink_to(place / "tradewind-postgres-x")
    (place / "tradewind-postgres-x" / "lock").touch()
    remove_abandoned()
    assert len(list(place.iterdir())) == 4
    (place / "tradewind-77-elsewhere" / "lock").touch()
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: 12345)
        remove_abandoned()
    assert len(list(place.iterdir())) == 4
    remove_abandoned()
    assert not (place / "tradewind-77-elsewhere").exists()


def test_threads_share_one(place: Path) -> None:
    def parent(_: int) -> Path:
        with private_folder() as folder:
            return folder.parent

    with ThreadPoolExecutor(8) as threads, private_folder() as own:
        assert set(threads.map(parent, range(32))) == {own.parent}
    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(parent, range(32)))) == 32
    assert list(place.iterdir()) == []
