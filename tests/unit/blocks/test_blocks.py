# SPDX-License-Identifier: Apache-2.0
"""What operators type into Prefect's forms, and what they get told."""

import base64
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError

import blocks
from blocks import DiskImageFolder, GuestSecrets, LibvirtEndpoint, ProviderOptionsBlock
from tradewind.errors import HostKeyError, KeyMaterialError, OptionError
from tradewind.model.host import WorkerAccess
from tradewind.model.options import OptionFields, ProviderOptions
from tradewind.model.source import SourceCare
from tradewind.remote.hostkey import PinnedKey
from tradewind.units import MiB

KEY = Ed25519PrivateKey.generate()
KEY_TEXT = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
KEY_BASE64 = base64.b64encode(KEY_TEXT).decode()
HOST_KEY = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
FINGERPRINT = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")

ENDPOINT: dict[str, Any] = {
    "host": "kvm1.example",
    "username": "mover",
    "private_key_base64": KEY_BASE64,
    "host_key": HOST_KEY,
}


@pytest.mark.parametrize("block", blocks.ALL)
def test_form_explains_every_field(block: type[Block]) -> None:
    for name, field in block.model_json_schema()["properties"].items():
        assert field["title"], name
        assert field["description"].endswith("."), name
    assert block.get_description()
    assert block.get_block_type_slug().startswith("tradewind-")


def test_form_of_the_options_is_the_options() -> None:
    properties = ProviderOptionsBlock.model_json_schema()["properties"]
    assert list(properties) == list(OptionFields.model_fields)
    assert properties["migr_image_map"]["type"] == "string"
    assert properties["cpu_features"]["items"]["type"] == "string"


def test_options_block_is_complete() -> None:
    assert ProviderOptionsBlock().options() == ProviderOptions()
    block = ProviderOptionsBlock.model_validate(
        {"default_storage_pool": "fast", "migr_image_map": "linux:deb.qcow2", "cpu_mode": ""}
    )
    assert block.options() == ProviderOptions.model_validate(
        {"default_storage_pool": "fast", "migr_image_map": {"linux": "deb.qcow2"}, "cpu_mode": ""}
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"cpu_mode": "fast"}, "option cpu_mode"),
        ({"colour": "blue"}, "unknown option “colour”"),
        ({"windows_virtio_iso_url": "https://example.com/a.iso"}, "not built yet"),
    ],
)
def test_options_block_refuses_by_name(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        ProviderOptionsBlock(**values)


def test_key_is_a_secret_everywhere() -> None:
    endpoint = LibvirtEndpoint(**ENDPOINT)
    assert LibvirtEndpoint.model_json_schema()["secret_fields"] == ["private_key_base64"]
    for shown in (repr(endpoint), str(endpoint.model_dump()), endpoint.model_dump_json()):
        assert KEY_BASE64[:40] not in shown
    access = endpoint.access()
    assert "PRIVATE" not in repr(access)
    assert "PRIVATE" not in access.model_dump_json()


def test_access_from_the_blocks_own_key() -> None:
    access = LibvirtEndpoint(**ENDPOINT, port=2222).access("/nowhere")
    assert access.private_key.get_secret_value() == KEY_TEXT.decode()
    assert (access.host, access.port, access.username) == ("kvm1.example", 2222, "mover")
    assert (access.host_key, access.libvirt_path) == (HOST_KEY, "system")


def test_workers_are_reached_directly_unless_the_form_says_otherwise() -> None:
    assert LibvirtEndpoint(**ENDPOINT).access().worker_access is WorkerAccess.DIRECT
    behind = LibvirtEndpoint(**ENDPOINT, worker_access="via-host")
    assert behind.access().worker_access is WorkerAccess.VIA_HOST
    form = LibvirtEndpoint.model_json_schema()
    assert form["definitions"]["WorkerAccess"]["enum"] == ["direct", "via-host"]
    with pytest.raises(ValidationError, match="worker_access"):
        LibvirtEndpoint(**ENDPOINT, worker_access="by-magic")


def test_what_guests_are_spared() -> None:
    assert LibvirtEndpoint(**ENDPOINT, scratch_pool="").care() == SourceCare()
    fields = {"scratch_pool": "fast", "scratch_reserve": 5, "scratch_reserve_percent": 0}
    care = LibvirtEndpoint(**ENDPOINT, **fields, freeze_timeout=7).care()
    assert (care.scratch_pool, care.freeze_timeout) == ("fast", 7)
    assert care.reserve_of(1000 * MiB) == 5 * MiB
    for wrong in ({"freeze_timeout": 0}, {"scratch_reserve_percent": 100}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            LibvirtEndpoint(**ENDPOINT, **wrong)


def test_access_from_key_files(tmp_path: Path) -> None:
    own, default = tmp_path / "own", tmp_path / "default"
    own.write_bytes(KEY_TEXT)
    default.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        )
    )
    without = {**ENDPOINT, "private_key_base64": None}
    chosen = LibvirtEndpoint(**without, ssh_key_path=str(own)).access(str(default))
    assert chosen.private_key == SecretStr(KEY_TEXT.decode())
    fallback = LibvirtEndpoint(**without).access(str(default))
    assert fallback.private_key == SecretStr(default.read_text())


def test_empty_fields_of_a_form_are_no_keys(tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_bytes(KEY_TEXT)
    endpoint = LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": "", "ssh_key_path": ""})
    assert endpoint.access(str(file)).private_key.get_secret_value() == KEY_TEXT.decode()


def test_no_key_at_all() -> None:
    endpoint = LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": None})
    with pytest.raises(KeyMaterialError, match=r"endpoint kvm1\.example: no SSH key") as caught:
        endpoint.access()
    assert "ssh_key_path" in caught.value.hint


LOCKED = KEY.private_bytes(
    Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"a passphrase")
)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (KEY_TEXT.decode(), "private_key_base64 is not base64"),
        (base64.b64encode(HOST_KEY.encode()).decode(), "private_key_base64 is not a private key"),
        (base64.b64encode(LOCKED).decode(), "private_key_base64 is locked by a passphrase"),
    ],
    ids=["not-base64", "public-key", "locked"],
)
def test_bad_key_is_named_and_never_shown(value: str, reason: str) -> None:
    with pytest.raises(KeyMaterialError, match=reason) as caught:
        LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": value})
    shown = "".join(traceback.format_exception(caught.value))
    assert value[40:80] not in shown


def test_rejected_input_is_not_shown_by_pydantic_either() -> None:
    # A key in the wrong field, of the wrong type: pydantic would print it.
    with pytest.raises(ValidationError) as caught:
        LibvirtEndpoint(**{**ENDPOINT, "port": KEY_BASE64})
    assert KEY_BASE64[:16] not in str(caught.value)


@pytest.mark.parametrize(
    "host_key",
    [
        HOST_KEY,
        f"kvm1.example,198.18.0.1 {HOST_KEY} a comment",
        f"|1|pYkw0PLtIyVQ8dhlZ3SBLHq1P2k=|IJ1bhzCVmqOkUjVhUjkDDnVzUlc= {HOST_KEY}",
        FINGERPRINT,
        "",
    ],
    ids=["key", "known-hosts", "hashed", "fingerprint", "not-yet-known"],
)
def test_host_key_in_every_form(host_key: str) -> None:
    assert LibvirtEndpoint(**{**ENDPOINT, "host_key": host_key}).access().host_key == host_key


@pytest.mark.parametrize(
    "host_key",
    [
        "trust me",
        "SHA256:short",
        "ssh-ed25519 AAAA",
        "MD5:aa:bb:cc",
        f"@revoked kvm1.example {HOST_KEY}",
    ],
)
def test_host_key_that_is_none(host_key: str) -> None:
    with pytest.raises(HostKeyError, match=r"kvm1\.example"):
        LibvirtEndpoint(**{**ENDPOINT, "host_key": host_key})


@pytest.mark.parametrize("field", ["host", "username"])
def test_field_that_must_be_filled(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        LibvirtEndpoint(**{**ENDPOINT, field: ""})


def test_unknown_field() -> None:
    with pytest.raises(ValidationError, match="hostname"):
        LibvirtEndpoint(**{**ENDPOINT, "hostname": "kvm1"})


def test_folder_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mover")
    assert DiskImageFolder(folder="~/exports").path == Path("/home/mover/exports")


@pytest.mark.parametrize("password", ["nine chars", "umläut", "new\nline", "tab\t"])
def test_a_vnc_password_that_the_protocol_does_not_know_is_refused_and_not_shown(
    password: str,
) -> None:
    with pytest.raises(KeyMaterialError, match="vnc_password is more than 8") as caught:
        GuestSecrets(vnc_password=SecretStr(password))
    shown = "".join(traceback.format_exception(caught.value))
    assert password not in shown


def test_a_vnc_password_is_kept_and_none_is_none() -> None:
    kept = GuestSecrets(vnc_password=SecretStr("eightchr")).guest_keys("vault").vnc_password
    assert kept is not None
    assert kept.get_secret_value() == "eightchr"
    assert GuestSecrets(vnc_password=SecretStr("")).guest_keys("vault").vnc_password is None


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ({"host": "kvm1:2222"}, ("kvm1", 2222, "mover", "system")),
        ({"host": "mover@kvm1"}, ("kvm1", 22, "mover", "system")),
        ({"host": "[2001:db8::1]:2222", "port": 2222}, ("2001:db8::1", 2222, "mover", "system")),
        (
            {"host": "qemu+ssh://x@kvm1:2222/session", "username": ""},
            ("kvm1", 2222, "x", "session"),
        ),
    ],
)
def test_address_may_say_more_than_the_host(
    values: dict[str, Any], there: tuple[str, int, str, str]
) -> None:
    found = LibvirtEndpoint(**(ENDPOINT | values))
    assert (found.host, found.port, found.username, found.libvirt_path) == there


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"host": "other@kvm1"}, "username is “mover”, and the host's address says “other”"),
        ({"host": "kvm1:22", "port": 2222}, "port is “2222”, and the host's address says “22”"),
    ],
)
def test_what_is_said_twice_has_to_be_the_same(values: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        LibvirtEndpoint(**(ENDPOINT | values))


@pytest.mark.parametrize(
    "line",
    [f"256 {FINGERPRINT} root@kvm1 (ED25519)", f"3072 {FINGERPRINT} no comment (RSA)", FINGERPRINT],
)
def test_line_of_ssh_keygen_is_a_host_key(line: str) -> None:
    assert PinnedKey.parse(line, "kvm1") == PinnedKey.parse(FINGERPRINT, "kvm1")
    assert LibvirtEndpoint(**(ENDPOINT | {"host_key": line})).access().host_key == line


def test_md5_fingerprint_is_named() -> None:
    with pytest.raises(HostKeyError, match="MD5 fingerprint"):
        LibvirtEndpoint(**(ENDPOINT | {"host_key": "256 MD5:16:27:ac:a5:76 root@kvm1 (ED25519)"}))
