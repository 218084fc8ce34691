# SPDX-License-Identifier: Apache-2.0
"""What opens a guest's disks and its console; it lives inside one flow run, and is no parameter."""

import base64

from pydantic import SecretStr

from tradewind.model.record import Record


class GuestKey(Record):
    """One passphrase or key file, base64-encoded; `container` is a LUKS UUID, empty for any."""

    secret: SecretStr
    container: str = ""

    @classmethod
    def of(cls, key: bytes, container: str = "") -> "GuestKey":
        """Keep a key's bytes."""
        return cls(secret=SecretStr(base64.b64encode(key).decode()), container=container.lower())


class GuestKeys(Record):
    """All keys that may be tried; `origin` names where they come from, for messages.

    `vnc_password` is what a VNC console shall ask for.
    """

    secrets: tuple[GuestKey, ...] = ()
    origin: str = ""
    vnc_password: SecretStr | None = None

    def for_container(self, uuid: str) -> tuple[GuestKey, ...]:
        """Choose the keys meant for a container, else those that are meant for any."""
        own = tuple(key for key in self.secrets if key.container == uuid.lower())
        return own or tuple(key for key in self.secrets if not key.container)
