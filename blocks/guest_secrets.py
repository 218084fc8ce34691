# SPDX-License-Identifier: Apache-2.0
"""What opens a guest's encrypted disks and its console, as a block."""

import base64
import binascii

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import ConfigDict, Field, SecretStr, field_validator

from tradewind.errors import KeyMaterialError
from tradewind.model.guest_keys import GuestKey, GuestKeys


class GuestSecrets(Block):
    """Passphrases and key files of a machine's encrypted disks (LUKS), its console's password."""

    _block_type_name = "Tradewind Guest Secrets"
    _block_type_slug = "tradewind-guest-secrets"

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    passphrase: SecretStr | None = Field(
        None,
        title="Passphrase",
        description="Tried on every encrypted container of the machine.",
    )
    key_file_base64: SecretStr | None = Field(
        None,
        title="Key file",
        description="The output of `base64 -w0 <key file>`. Tried on every encrypted container.",
    )
    by_container: SecretDict | None = Field(
        None,
        title="Passphrases of single containers",
        description="LUKS UUID and passphrase, for containers with passphrases of their own.",
    )

    vnc_password: SecretStr | None = Field(
        None,
        title="VNC password",
        description="What the created machine's VNC console asks for: up to 8 characters, all that "
        "the VNC protocol knows. Left empty: nothing.",
    )

    @field_validator("vnc_password")
    @classmethod
    def _is_vnc_password(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if len(text) > 8 or not text.isascii() or not text.isprintable():
            raise KeyMaterialError(
                "vnc_password is more than 8 characters, or other than printable ASCII",
                "choose another: the VNC protocol knows no more",
            )
        return value if text else None

    @field_validator("key_file_base64")
    @classmethod
    def _is_base64(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            base64.b64decode(value.get_secret_value() if value else "", validate=True)
        except binascii.Error:
            raise KeyMaterialError(
                "key_file_base64 is not base64", "enter the output of `base64 -w0 <key file>`"
            ) from None
        return value

    def guest_keys(self, name: str) -> GuestKeys:
        """Turn the block, stored as `name`, into what the library tries."""
        found: list[GuestKey] = []
        if self.passphrase is not None:
            found.append(GuestKey.of(self.passphrase.get_secret_value().encode()))
        if self.key_file_base64 is not None:
            found.append(GuestKey.of(base64.b64decode(self.key_file_base64.get_secret_value())))
        own = self.by_container.get_secret_value() if self.by_container else {}
        found += [GuestKey.of(str(key).encode(), uuid) for uuid, key in own.items()]
        return GuestKeys(secrets=tuple(found), origin=name, vnc_password=self.vnc_password)
