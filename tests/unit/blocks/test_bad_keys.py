# SPDX-License-Identifier: Apache-2.0
"""Keys of every bad kind, in the block and in its files: named, and never shown."""

import base64
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from blocks import LibvirtEndpoint
from tests.unit.blocks.test_blocks import ENDPOINT, KEY, KEY_BASE64, KEY_TEXT
from tradewind.errors import KeyMaterialError

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
LOCK = BestAvailableEncryption(b"a passphrase")

KEYS = {
    "public": KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "public-pem": RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "locked-openssh": KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, LOCK),
    "locked-pkcs8": RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, LOCK),
    "locked-traditional": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, LOCK),
    "cut-off": KEY_TEXT[:200],
    "damaged": KEY_TEXT.replace(KEY_TEXT.splitlines()[2][:8], b"AAAAAAAA"),
    "bare": RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "no-text": b"\xff\xfe" + KEY_TEXT,
    "words": b"the key is under the mat, and nobody but us knows it",
    "empty": b"\n",
}


def secrets_of(content: bytes) -> list[str]:
    """Pieces of a key, as text and as base64, that no message may contain."""
    text = content.decode(errors="replace")
    encoded = base64.b64encode(content).decode()
    return [piece for piece in (text[40:70], text[-40:-10], encoded[40:70]) if len(piece) > 10]


def shown(error: BaseException) -> str:
    """All that a person could come to see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.args)


@pytest.mark.parametrize("kind", KEYS)
def test_bad_key_in_the_block(kind: str) -> None:
    encoded = base64.b64encode(KEYS[kind]).decode()
    with pytest.raises(KeyMaterialError, match=r"^private_key_base64 is ") as caught:
        LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": encoded})
    assert caught.value.hint
    assert ("locked by a passphrase" in str(caught.value)) == kind.startswith("locked")
    for piece in secrets_of(KEYS[kind]):
        assert piece not in shown(caught.value)


@pytest.mark.parametrize("kind", KEYS)
def test_bad_key_in_a_file(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_bytes(KEYS[kind])
    endpoint = LibvirtEndpoint(
        **{**ENDPOINT, "private_key_base64": None, "ssh_key_path": str(file)}
    )
    with pytest.raises(KeyMaterialError, match=r"^ssh_key_path \(.*/id\) is ") as caught:
        endpoint.access()
    for piece in secrets_of(KEYS[kind]):
        assert piece not in shown(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    nowhere = {**ENDPOINT, "private_key_base64": None, "ssh_key_path": str(tmp_path / "none")}
    with pytest.raises(KeyMaterialError, match=r"^ssh_key_path: .*none cannot be read"):
        LibvirtEndpoint(**nowhere).access()


@pytest.mark.parametrize(
    "value",
    [KEY_BASE64[:-3], KEY_BASE64 + "!", "-" + KEY_BASE64[1:]],
    ids=["cut-off", "one-sign-more", "url-alphabet"],
)
def test_value_that_is_not_base64(value: str) -> None:
    with pytest.raises(KeyMaterialError, match="private_key_base64 is not base64") as caught:
        LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": value})
    assert "base64 -w0" in caught.value.hint
    assert value[40:80] not in shown(caught.value)


def test_wrapped_base64_is_taken_as_it_is_meant() -> None:
    wrapped = "\n".join(KEY_BASE64[at : at + 76] for at in range(0, len(KEY_BASE64), 76))
    access = LibvirtEndpoint(**{**ENDPOINT, "private_key_base64": wrapped}).access()
    assert access.private_key.get_secret_value() == KEY_TEXT.decode()


@pytest.mark.parametrize(
    "field", ["host", "username", "port", "host_key", "libvirt_path", "colour"]
)
def test_key_in_a_wrong_field_is_not_shown(field: str) -> None:
    bad = {**ENDPOINT, "private_key_base64": "", field: [KEY_TEXT.decode()]}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it shows no key
        LibvirtEndpoint(**bad)
    assert field in str(caught.value)
    for piece in secrets_of(KEY_TEXT):
        assert piece not in shown(caught.value)
