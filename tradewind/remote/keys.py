# SPDX-License-Identifier: Apache-2.0
"""Private keys as operators hand them over: base64 of a key file, or its path.

No message ever contains the value.
"""

import base64
import binascii
import contextlib
import io
from pathlib import Path
from typing import Final

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from pydantic import SecretStr

from tradewind.errors import KeyMaterialError

_OPENSSH: Final = b"OPENSSH PRIVATE KEY"
_SHORTEST_RSA: Final = 1024
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_MAKE = "make one that is not locked: ssh-keygen -t ed25519 -N ''"


def private_key_from_base64(value: str, field: str) -> SecretStr:
    """Decode and check a key; KeyMaterialError names the field."""
    try:
        decoded = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KeyMaterialError(
            f"{field} is not base64", "its value is what `base64 -w0 <key file>` prints"
        ) from None
    return _checked(decoded, field)


def private_key_from_file(path: Path, field: str) -> SecretStr:
    """Read and check a key; KeyMaterialError names the field and the path."""
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise KeyMaterialError(
            f"{field}: {path} cannot be read ({error.strerror})", "name a readable key file"
        ) from None
    return _checked(content, f"{field} ({path})")


def _checked(content: bytes, field: str) -> SecretStr:
    """Read a key in any form, and give it in the one that every OpenSSH reads.

    OpenSSH reads no carriage returns, and no Ed25519 key in PKCS#8 (sshkey.c).
    """
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip() + b"\n"
    if text.startswith(b"PuTTY-User-Key-File"):
        raise KeyMaterialError(
            f"{field} is a key in PuTTY's form",
            "convert it: puttygen KEY.ppk -O private-openssh-new -o KEY",
        )
    load = load_ssh_private_key if _OPENSSH in text else load_pem_private_key
    try:
        text.decode()  # here: the error of a failing decode contains the key
        key = load(text, password=None)
    except TypeError:
        raise KeyMaterialError(f"{field} is locked by a passphrase", _MAKE) from None
    except UnsupportedAlgorithm:
        raise KeyMaterialError(f"{field} is a key of an unsupported type", _MAKE) from None
    except ValueError as error:
        # cryptography says of a locked OpenSSH key that it needs a password, in a ValueError.
        if "password" in str(error).lower():
            raise KeyMaterialError(f"{field} is locked by a passphrase", _MAKE) from None
        raise KeyMaterialError(
            f"{field} is not a private key",
            "a private key begins with -----BEGIN … PRIVATE KEY-----; a public one does not do",
        ) from None
    made = _in_openssh_form(key, field)
    return SecretStr(text.decode() if _OPENSSH in text else made)


def _in_openssh_form(key: PrivateKeyTypes, field: str) -> str:
    if not _is_usable(key):
        raise KeyMaterialError(f"{field} is a key of a type that OpenSSH does not use", _MAKE)
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _is_usable(key: PrivateKeyTypes) -> bool:
    """OpenSSH has dropped DSA, and refuses RSA of less than 1024 bits (RequiredRSASize)."""
    match key:
        case Ed25519PrivateKey():
            return True
        case RSAPrivateKey():
            return key.key_size >= _SHORTEST_RSA
        case EllipticCurvePrivateKey():
            return key.curve.name in _CURVES
    return False


def login_key(private_key: SecretStr) -> paramiko.PKey:
    """Read a private key in OpenSSH, PEM or PKCS#8 form; no part of it gets into a message."""
    text = private_key.get_secret_value().strip().encode() + b"\n"
    loader = (
        serialization.load_ssh_private_key
        if b"BEGIN OPENSSH" in text
        else serialization.load_pem_private_key
    )
    try:
        # paramiko reads RSA, EC and OPENSSH headings only: everything is turned into the last.
        openssh = loader(text, password=None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            with contextlib.suppress(paramiko.SSHException):
                return kind.from_private_key(io.StringIO(openssh.decode()))
    except TypeError:
        raise KeyMaterialError(
            "the SSH private key is locked by a passphrase", "give a key without a passphrase"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise KeyMaterialError(
        "the SSH private key is not a key that can be used",
        "give an Ed25519, ECDSA or RSA private key in OpenSSH or PEM form",
    )
