# SPDX-License-Identifier: Apache-2.0
"""Private keys as operators hand them over, and every way in which they are not keys."""

import base64
import os
import subprocess
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from pydantic import SecretStr

from tradewind.errors import KeyMaterialError
from tradewind.remote.keys import private_key_from_base64, private_key_from_file

Key = (
    ed25519.Ed25519PrivateKey
    | rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)

OPENSSH, PEM, PKCS8 = (
    PrivateFormat.OpenSSH,
    PrivateFormat.TraditionalOpenSSL,
    PrivateFormat.PKCS8,
)
LOCK = BestAvailableEncryption(b"a passphrase")


def key_text(
    key: Key, form: PrivateFormat, lock: KeySerializationEncryption | None = None
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, lock or NoEncryption())


ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
ECDSA = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "content",
    [
        key_text(ED25519, OPENSSH),
        key_text(RSA, OPENSSH),
        key_text(RSA, PEM),
        key_text(RSA, PKCS8),
        key_text(ECDSA, PEM),
        key_text(ECDSA, OPENSSH),
        key_text(ED25519, PKCS8),
    ],
    ids=["ed25519", "rsa", "rsa-pem", "rsa-pkcs8", "ecdsa-pem", "ecdsa", "ed25519-pkcs8"],
)
def test_keys_of_every_kind(content: bytes, tmp_path: Path) -> None:
    encoded = base64.b64encode(content).decode()
    key = private_key_from_base64(encoded, "private_key_base64")
    assert "PRIVATE" not in repr(key)
    file = tmp_path / "id"
    file.write_bytes(content)
    of_file = private_key_from_file(file, "ssh_key_path")
    assert public_by_openssh(of_file, tmp_path) == public_by_openssh(key, tmp_path)
    assert public_by_openssh(key, tmp_path) == public_of(content)


def public_of(content: bytes) -> str:
    load = load_ssh_private_key if b"OPENSSH" in content else load_pem_private_key
    public = load(content, password=None).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def public_by_openssh(key: SecretStr, folder: Path) -> str:
    """Have OpenSSH itself read the key."""
    file = folder / "for-openssh"
    file.write_text(key.get_secret_value())
    file.chmod(0o600)
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", file], capture_output=True, text=True, check=True
    )
    return " ".join(shown.stdout.split()[:2])


@pytest.mark.parametrize(
    "content",
    [key_text(ED25519, OPENSSH), key_text(ED25519, PKCS8), key_text(RSA, PEM)],
    ids=["openssh", "pkcs8", "pem"],
)
@pytest.mark.parametrize(
    "change", [b"\r\n", b"\xef\xbb\xbf", b"blank"], ids=["crlf", "bom", "blank"]
)
def test_key_from_another_editor_is_read_by_openssh(
    content: bytes, change: bytes, tmp_path: Path
) -> None:
    other = {
        b"\r\n": content.replace(b"\n", change),
        b"\xef\xbb\xbf": change + content,
        b"blank": b"\n  \n" + content + b"\n\n",
    }[change]
    key = private_key_from_base64(base64.b64encode(other).decode(), "private_key_base64")
    assert public_by_openssh(key, tmp_path) == public_of(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (key_text(ec.generate_private_key(ec.SECP256K1()), PEM), "OpenSSH does not use"),
        (key_text(ed448.Ed448PrivateKey.generate(), PKCS8), "OpenSSH does not use"),
        (key_text(dsa.generate_private_key(2048), PEM), "OpenSSH does not use"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "in PuTTY's form"),
    ],
    ids=["secp256k1", "ed448", "dsa", "putty"],
)
def test_key_that_openssh_could_not_use_is_refused_at_entry(content: bytes, said: str) -> None:
    with pytest.raises(KeyMaterialError, match=said):
        private_key_from_base64(base64.b64encode(content).decode(), "private_key_base64")


def test_base64_with_line_breaks() -> None:
    encoded = base64.encodebytes(key_text(ED25519, OPENSSH)).decode()
    assert "\n" in encoded.strip()
    assert private_key_from_base64(encoded, "private_key_base64").get_secret_value()


def refused(value: str, capsys: pytest.CaptureFixture[str]) -> KeyMaterialError:
    """The refusal; proves that neither message, repr nor traceback shows the value."""
    with pytest.raises(KeyMaterialError) as caught:
        private_key_from_base64(value, "private_key_base64")
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error)
    pieces = [value[at : at + 16] for at in range(0, max(len(value) - 16, 1), 16)]
    assert not [piece for piece in pieces if len(piece) == 16 and piece in shown]
    assert "private_key_base64" in error.message
    assert error.hint
    assert error.__cause__ is None
    assert capsys.readouterr() == ("", "")
    return error


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


PUBLIC = ED25519.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
BROKEN = key_text(ED25519, OPENSSH)[:200] + b"\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (key_text(ED25519, OPENSSH).decode(), "is not base64"),
        ("c2VjcmV0IHZhbHVlIG9mIGEga2V5!", "is not base64"),
        ("c2VjcmV0", "is not a private key"),
        ("", "is not a private key"),
        (encoded(os.urandom(300)), "is not a private key"),
        (encoded(PUBLIC), "is not a private key"),
        (encoded(BROKEN), "is not a private key"),
        (encoded(encoded(key_text(ED25519, OPENSSH)).encode()), "is not a private key"),
        (encoded(key_text(ED25519, OPENSSH, LOCK)), "is locked by a passphrase"),
        (encoded(key_text(RSA, PEM, LOCK)), "is locked by a passphrase"),
        (encoded(key_text(RSA, PKCS8, LOCK)), "is locked by a passphrase"),
    ],
    ids=[
        "the-key-itself",
        "stray-character",
        "no-key",
        "empty",
        "random",
        "public-key",
        "cut-off",
        "encoded-twice",
        "locked-openssh",
        "locked-pem",
        "locked-pkcs8",
    ],
)
def test_refused_without_showing_it(
    value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refused(value, capsys).message


def test_certificate_file_is_no_private_key(tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_bytes(PUBLIC)
    with pytest.raises(KeyMaterialError, match=r"ssh_key_path \(.*id\.pub\) is not a private key"):
        private_key_from_file(file, "ssh_key_path")


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyMaterialError, match=r"ssh_key_path: .* cannot be read"):
        private_key_from_file(tmp_path / name, "ssh_key_path")
