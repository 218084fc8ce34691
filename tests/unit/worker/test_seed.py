# SPDX-License-Identifier: Apache-2.0
"""The seed ISO, read back by the library's own reader: what cloud-init would find."""

import io
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pycdlib
import pytest

from images import recipe
from tradewind.worker.keys import KeyPair, new_key_pair
from tradewind.worker.seed import seed_iso

PROGRAM = "usr/lib/tradewind/seed-keys"
INSTANCE = "tradewind-0123456789ab-transfer"


@pytest.fixture(scope="module")
def pairs() -> tuple[KeyPair, KeyPair]:
    return new_key_pair(), new_key_pair()


@pytest.fixture(scope="module")
def iso(pairs: tuple[KeyPair, KeyPair]) -> bytes:
    host_key, login = pairs
    return seed_iso(INSTANCE, host_key, login.public)


def read(iso: bytes, **path: str) -> str:
    opened, content = pycdlib.PyCdlib(), io.BytesIO()
    opened.open_fp(io.BytesIO(iso))
    opened.get_file_from_iso_fp(content, **path)
    opened.close()
    return content.getvalue().decode()


def test_label_is_what_cloud_init_looks_for(iso: bytes) -> None:
    opened = pycdlib.PyCdlib()
    opened.open_fp(io.BytesIO(iso))
    assert opened.pvd.volume_identifier.decode().strip() == "CIDATA"
    assert opened.joliet_vd is not None
    assert opened.joliet_vd.volume_identifier.decode("utf-16-be").strip() == "CIDATA"
    opened.close()


@pytest.mark.parametrize("name", ["user-data", "meta-data"])
def test_files_have_their_names_for_linux_and_windows(iso: bytes, name: str) -> None:
    assert read(iso, rr_path=f"/{name}") == read(iso, joliet_path=f"/{name}") != ""


def test_nothing_else_is_on_it(iso: bytes) -> None:
    opened = pycdlib.PyCdlib()
    opened.open_fp(io.BytesIO(iso))
    names = {entry.rock_ridge.name() for entry in opened.list_children(iso_path="/")}
    opened.close()
    assert {name.decode() for name in names} - {"", ".", ".."} == {"user-data", "meta-data"}


def test_meta_data_names_the_instance(iso: bytes) -> None:
    assert json.loads(read(iso, rr_path="/meta-data")) == {
        "instance-id": INSTANCE,
        "local-hostname": INSTANCE,
    }


def test_only_our_key_may_log_in(iso: bytes, pairs: tuple[KeyPair, KeyPair]) -> None:
    _host_key, login = pairs
    first, _, rest = read(iso, rr_path="/user-data").partition("\n")
    assert first == "#cloud-config"
    told = json.loads(rest)
    assert told["users"] == [{"name": "root", "ssh_authorized_keys": [login.public]}]
    assert (told["ssh_pwauth"], told["disable_root"]) == (False, False)
    assert login.private not in rest


def test_worker_proves_itself_with_our_host_key_only(
    iso: bytes, pairs: tuple[KeyPair, KeyPair]
) -> None:
    host_key, _login = pairs
    told = json.loads(read(iso, rr_path="/user-data").partition("\n")[2])
    assert told["ssh_keys"]["ed25519_private"] == host_key.private
    assert told["ssh_keys"]["ed25519_public"].startswith(host_key.public)
    assert (told["ssh_deletekeys"], told["ssh_genkeytypes"]) == (True, [])


@pytest.fixture(scope="module")
def seed_keys() -> ModuleType:
    """The program of the worker image that takes keys from a seed.

    Compiled code beside it would be one more file of the recipe, and the image be built anew.
    """
    program = recipe.HERE / "recipes/worker/files" / PROGRAM
    loader = SourceFileLoader("seed_keys", str(program))
    module = ModuleType(loader.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        loader.exec_module(module)
    assert [file.name for file in program.parent.rglob("*.pyc")] == []
    return module


def test_worker_image_needs_no_cloud_init_for_it(
    iso: bytes, pairs: tuple[KeyPair, KeyPair], seed_keys: ModuleType, tmp_path: Path
) -> None:
    host_key, login = pairs
    keys = seed_keys.keys_of(read(iso, joliet_path="/user-data"))
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "root").mkdir()
    seed_keys.let_in(str(tmp_path), keys)
    private = tmp_path / "etc/ssh/ssh_host_ed25519_key"
    assert private.read_text() == host_key.private
    assert (private.stat().st_mode & 0o777, (tmp_path / "root/.ssh").stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    assert (tmp_path / "root/.ssh/authorized_keys").read_text() == f"{login.public}\n"
    assert private.with_suffix(".pub").read_text().split()[:2] == host_key.public.split()


@pytest.mark.parametrize(
    "more",
    [
        {"runcmd": ["reboot"]},
        {"ssh_pwauth": True},
        {"users": [{"name": "ada", "ssh_authorized_keys": ["ssh-ed25519 A"]}]},
        {"users": [{"name": "root", "ssh_authorized_keys": ["one", "two"]}]},
        {"ssh_keys": {"rsa_private": "A", "rsa_public": "B"}},
        {"ssh_keys": None},
    ],
    ids=str,
)
def test_seed_that_asks_for_more_is_left_to_cloud_init(
    iso: bytes, seed_keys: ModuleType, more: dict[str, object]
) -> None:
    asked = json.loads(read(iso, joliet_path="/user-data").removeprefix("#cloud-config"))
    assert seed_keys.keys_of(json.dumps(asked)) is not None
    assert seed_keys.keys_of("#cloud-config\n" + json.dumps({**asked, **more})) is None
    assert seed_keys.keys_of("#!/bin/sh\nreboot\n") is None
    assert seed_keys.keys_of("[]") is None
