# SPDX-License-Identifier: Apache-2.0
"""The pinned host key: what was written down, and whether the host shows the same one."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Self

from tradewind.errors import HostKeyError

KEY_TYPES: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
# An RSA key is offered under the names of its signature algorithms; SHA-1 is not among them.
RSA_ALGORITHMS: Final = ("rsa-sha2-512", "rsa-sha2-256")

_FORMS: Final = (
    'give it as a known_hosts line, as its "type base64" part, as its fingerprint "SHA256:…", or as'
    " the line that `ssh-keygen -lf` prints on the host"
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as SSH writes it: its type, and its content in base64."""

    type: str
    base64: str

    @property
    def line(self) -> str:
        """The "type base64" part of a known_hosts line."""
        return f"{self.type} {self.base64}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH prints it: "SHA256:…"."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """What a host must prove itself with: a whole key, or only its fingerprint."""

    key: PublicKey | None
    fingerprint: str

    @classmethod
    def parse(cls, text: str, host: str) -> Self:
        """Read a known_hosts line, its "type base64" part, "SHA256:…", or a line of ssh-keygen -l.

        HostKeyError names `host` and the forms that can be read. Format of the line: sshd(8),
        "SSH_KNOWN_HOSTS FILE FORMAT".
        """
        words = text.split()
        if len(words) > 1 and words[0].isdigit():  # a line of `ssh-keygen -lf`: its length first
            words = words[1:2]
        if len(words) == 1 and words[0].startswith("MD5:"):
            raise HostKeyError(
                f"the host key of {host} is an MD5 fingerprint",
                "give the SHA-256 one; on the host: ssh-keygen -lf"
                " /etc/ssh/ssh_host_ed25519_key.pub",
            )
        if len(words) == 1 and words[0].startswith("SHA256:"):
            return cls(None, _fingerprint(words[0], host))
        if words and words[0].startswith("@"):
            raise HostKeyError(
                f"the host key of {host} is a known_hosts line with the marker {words[0]}", _FORMS
            )
        start = 0 if words and words[0] in KEY_TYPES else 1
        if len(words) < start + 2 or words[start] not in KEY_TYPES:
            raise HostKeyError(f"the host key of {host} is not a host key", _FORMS)
        key = PublicKey(words[start], _content(words[start], words[start + 1], host))
        return cls(key, key.fingerprint)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The names under which the host may offer the key; all of them for a fingerprint."""
        if self.key is None:
            return tuple(name for type_ in KEY_TYPES for name in algorithms(type_))
        return algorithms(self.key.type)

    def matches(self, offered: PublicKey) -> bool:
        """Whether the host showed this key."""
        if self.key is not None:
            return self.key == offered
        return hmac.compare_digest(self.fingerprint, offered.fingerprint)


def algorithms(key_type: str) -> tuple[str, ...]:
    """Name the signature algorithms of a key type."""
    return RSA_ALGORITHMS if key_type == "ssh-rsa" else (key_type,)


def refusal(host: str, port: int, pinned: str, offered: PublicKey | None) -> HostKeyError:
    """Say that a host shows a key which is not the pinned one, and how to accept it."""
    if offered is None:
        return HostKeyError(
            f"{host}:{port} offers no host key of a type that can be checked",
            f"the host must offer one of: {', '.join(KEY_TYPES)}",
        )
    told = f"{offered.type} {offered.fingerprint}"
    message = (
        f"the host key of {host}:{port} is not the pinned one: it shows {told}, not {pinned}"
        if pinned
        else f"no host key is pinned for {host}:{port}: it shows {told}"
    )
    file = offered.type.removeprefix("ssh-").split("-")[0]
    return HostKeyError(
        message,
        "compare it with what `ssh-keygen -lf "
        f"/etc/ssh/ssh_host_{file}_key.pub` prints on the host itself; only if it is the same, "
        f"write {offered.fingerprint} into the endpoint's host key",
    )


def _fingerprint(word: str, host: str) -> str:
    digest = word.removeprefix("SHA256:").rstrip("=")
    try:
        length = len(base64.b64decode(digest + "=", validate=True))
    except binascii.Error:
        length = 0
    if length != hashlib.sha256().digest_size:
        raise HostKeyError(f"the host key of {host} is not a SHA-256 fingerprint", _FORMS)
    return "SHA256:" + digest


def _content(key_type: str, text: str, host: str) -> str:
    """Check that the base64 part is a key of that type (RFC 4253, section 6.6)."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        blob = b""
    name = key_type.encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise HostKeyError(f"the host key of {host} is not a {key_type} key", _FORMS)
    return base64.b64encode(blob).decode()
