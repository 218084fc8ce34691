# SPDX-License-Identifier: Apache-2.0
"""Commands that store blocks: they look before they store, and replace nothing unasked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from typer.testing import CliRunner

import cli.main
from blocks import DiskImageFolder, LibvirtEndpoint, ProviderOptionsBlock
from blocks.loading import block_names, load_block, remove_block
from tasks.operate.leftovers import name_hosts
from tests.fakes.images import make_raw
from tests.fakes.ssh_server import free_port, keygen
from tradewind.errors import BusyError, ConnectionFailedError, NotFoundError, OptionError

FINGERPRINT = "SHA256:" + "A" * 43
Tradewind = Callable[..., str]


@pytest.fixture
def tradewind() -> Iterator[Tradewind]:
    """Run a command on the tests' server; give its output, or raise what it raised."""

    def call(*words: str) -> str:
        done = CliRunner().invoke(cli.main.app, list(words), env={"COLUMNS": "200"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    yield call
    kinds: tuple[type[Block], ...] = (LibvirtEndpoint, DiskImageFolder, ProviderOptionsBlock)
    for kind in kinds:
        for name in block_names(kind):
            if name.startswith("mine"):
                remove_block(kind, name)


@pytest.fixture
def host(tmp_path: Path) -> tuple[str, ...]:
    """How a host is added at which nobody answers."""
    key = tmp_path / "id"
    keygen(key)
    where = ("--host", f"127.0.0.1:{free_port()}", "--username", "mover")
    return (*where, "--key", str(key), "--host-key", FINGERPRINT)


def test_host_that_does_not_answer_is_not_stored(
    tradewind: Tradewind, host: tuple[str, ...]
) -> None:
    with pytest.raises(ConnectionFailedError):
        tradewind("endpoint", "add", "mine-down", *host)
    assert "mine-down" not in block_names(LibvirtEndpoint)
    tradewind("endpoint", "add", "mine-down", *host, "--no-check")
    assert "mine-down" in block_names(LibvirtEndpoint)


def test_endpoint_is_replaced_when_that_is_asked_for(
    tradewind: Tradewind, host: tuple[str, ...]
) -> None:
    add = ("endpoint", "add", "mine-twice", *host, "--no-check")
    tradewind(*add)
    with pytest.raises(OptionError, match="called “mine-twice” already"):
        tradewind(*add, "--bandwidth-limit", "7")
    assert load_block(LibvirtEndpoint, "mine-twice").bandwidth_limit is None
    tradewind(*add, "--bandwidth-limit", "7", "--replace")
    assert load_block(LibvirtEndpoint, "mine-twice").bandwidth_limit == 7


def test_endpoint_is_shown_without_its_key_and_removed(
    tradewind: Tradewind, host: tuple[str, ...]
) -> None:
    tradewind("endpoint", "add", "mine-gone", *host, "--no-check")
    shown = tradewind("endpoint", "show", "mine-gone")
    assert "127.0.0.1" in shown
    assert "PRIVATE" not in shown
    assert "private_key" not in tradewind("endpoint", "show", "mine-gone", "--json")
    tradewind("endpoint", "remove", "mine-gone")
    with pytest.raises(NotFoundError, match="mine-gone"):
        tradewind("endpoint", "remove", "mine-gone")


def test_endpoint_that_is_disabled_is_left_out_of_the_sweep_of_all(
    tradewind: Tradewind, host: tuple[str, ...]
) -> None:
    tradewind("endpoint", "add", "mine-down", *host, "--no-check")
    assert "mine-down" in name_hosts([])
    tradewind("endpoint", "disable", "mine-down")
    assert "mine-down" not in name_hosts([])
    assert name_hosts(["mine-down"]) == ["mine-down"]  # who names it means it
    tradewind("endpoint", "enable", "mine-down")
    assert "mine-down" in name_hosts([])
    assert load_block(LibvirtEndpoint, "mine-down").private_key_base64 is not None


def test_what_saved_transfers_use_is_not_removed(
    tradewind: Tradewind, host: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(block: str) -> None:
        raise BusyError(f"“{block}” is used by saved transfers: nightly")

    tradewind("endpoint", "add", "mine-used", *host, "--no-check")
    monkeypatch.setattr("cli.commands.endpoints.require_unused_by_transfers", refuse)
    with pytest.raises(BusyError, match="nightly"):
        tradewind("endpoint", "remove", "mine-used")
    tradewind("endpoint", "remove", "mine-used", "--force")
    assert "mine-used" not in block_names(LibvirtEndpoint)


def test_folder_of_images_is_looked_into_first(tradewind: Tradewind, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="neither a folder"):
        tradewind("images", "add", "mine", str(tmp_path / "no"))
    make_raw(tmp_path / "web.img", 1 << 20, {})
    (tmp_path / "web.toml").write_text(
        'vcpus = 1\nmemory = 512\n[[disks]]\nfile = "web.img"\nformat = "raw"\n'
    )
    assert "machines described there: web" in tradewind("images", "add", "mine", str(tmp_path))
    with pytest.raises(OptionError, match="called “mine” already"):
        tradewind("images", "add", "mine", str(tmp_path))
    tradewind("images", "remove", "mine")
    assert "mine" not in block_names(DiskImageFolder)
    assert tmp_path.is_dir()


def test_options_are_set_shown_and_unset(tradewind: Tradewind) -> None:
    named = ("--name", "mine")
    tradewind("options", "set", "default_storage_pool=“fast pool”", "cpu_mode='host-model'", *named)
    options = load_block(ProviderOptionsBlock, "mine").options()
    assert (options.default_storage_pool, options.cpu_mode) == ("fast pool", "host-model")
    assert "fast pool" in tradewind("options", "show", *named)
    tradewind("options", "unset", "default_storage_pool", *named)
    options = load_block(ProviderOptionsBlock, "mine").options()
    assert (options.default_storage_pool, options.cpu_mode) == (None, "host-model")
    with pytest.raises(OptionError, match="unknown option “default_pool”") as caught:
        tradewind("options", "unset", "default_pool", *named)
    assert "default_storage_pool" in caught.value.hint


def test_password_of_a_database_is_told_and_not_shown(tradewind: Tradewind) -> None:
    url = "sqlite_database_file=postgresql+psycopg://mover:hunter2@db.example/ledger"
    said = tradewind("options", "set", url, "--name", "mine")
    assert "~/.pgpass" in said
    shown = tradewind("options", "show", "--name", "mine")
    assert "db.example" in shown
    assert "hunter2" not in said + shown


def test_import_says_what_it_reset(tradewind: Tradewind, tmp_path: Path) -> None:
    named = ("--name", "mine")
    tradewind("options", "set", "default_storage_pool=fast", "cpu_mode=host-model", *named)
    file = tmp_path / "options.ini"
    file.write_bytes(
        b"\xef\xbb\xbf" + "[libvirt_migration_provider]\ncpu_mode = “maximum”\n".encode()
    )
    said = tradewind("options", "import", str(file), *named)
    assert "reset, since the file does not say it: default_storage_pool" in said
    assert "cpu_mode" not in said
    assert load_block(ProviderOptionsBlock, "mine").options().cpu_mode == "maximum"
