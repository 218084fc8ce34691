# SPDX-License-Identifier: Apache-2.0
"""The seed ISO, read back by the library's own reader: what cloud-init would find."""

import io
import json

import pycdlib
import pytest

from tradewind.worker.keys import KeyPair, new_key_pair
from tradewind.worker.seed import seed_iso

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
