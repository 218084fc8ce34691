# SPDX-License-Identifier: Apache-2.0
"""A libvirt host over SSH, source or destination."""

from pathlib import Path
from typing import Any

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr

from tradewind.errors import KeyMaterialError
from tradewind.model.host import HostAccess, WorkerAccess
from tradewind.remote.hostkey import PinnedKey
from tradewind.remote.keys import private_key_from_base64, private_key_from_file


class LibvirtEndpoint(Block):
    """A KVM host, reached by libvirt over SSH with an account in the groups libvirt and kvm."""

    _block_type_name = "Tradewind Libvirt Endpoint"
    _block_type_slug = "tradewind-libvirt-endpoint"

    # A rejected value may be the key itself: pydantic must not show it.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    host: str = Field(title="Host", description="Name or address of the KVM host.", min_length=1)
    port: int = Field(
        22, title="SSH port", description="TCP port of its SSH server.", gt=0, lt=65536
    )
    username: str = Field(
        title="Account",
        description="Account on the host; it needs the groups libvirt and kvm, never root.",
        min_length=1,
    )
    private_key_base64: SecretStr | None = Field(
        None,
        title="SSH private key, base64",
        description="What `base64 -w0 <key file>` prints. Leave it empty to use a key file.",
    )
    ssh_key_path: str | None = Field(
        None,
        title="SSH key file",
        description="Path of the key on the machine that runs the flows.",
    )
    host_key: str = Field(
        "",
        title="Host key",
        description="The host's public key: a line of known_hosts, or its fingerprint SHA256:…. "
        "While it is empty every connection is refused, with the key that the host shows.",
    )
    libvirt_path: str = Field(
        "system",
        title="Libvirt path",
        description="Path of the libvirt URI on the far side, as in qemu:///system.",
    )
    worker_access: WorkerAccess = Field(
        WorkerAccess.DIRECT,
        title="Worker access",
        description="How this machine reaches the temporary workers on the host: direct, or "
        "via-host, through the SSH connection to the host. A worker on libvirt's NAT network needs "
        "via-host.",
    )
    bandwidth_limit: int | None = Field(
        None,
        title="Bandwidth limit",
        description="Mbit/s that all transfers from here may send together. Empty: no limit.",
        gt=0,
    )

    def model_post_init(self, context: Any) -> None:
        """Refuse a malformed host key or private key as soon as it is entered."""
        super().model_post_init(context)
        if self.host_key:
            PinnedKey.parse(self.host_key, self.host)
        if self.private_key_base64:
            self._inline_key(self.private_key_base64)

    def access(self, default_key_path: str | None = None) -> HostAccess:
        """Load the key: the block's own, its key file, or the one of the provider options."""
        return HostAccess(
            host=self.host,
            port=self.port,
            username=self.username,
            private_key=self._key(default_key_path),
            host_key=self.host_key,
            libvirt_path=self.libvirt_path,
            worker_access=self.worker_access,
        )

    def _key(self, default_key_path: str | None) -> SecretStr:
        if self.private_key_base64:  # a form sends an empty text for a field left empty
            return self._inline_key(self.private_key_base64)
        path = self.ssh_key_path or default_key_path
        if not path:
            raise KeyMaterialError(
                f"endpoint {self.host}: no SSH key",
                "set private_key_base64 or ssh_key_path in the endpoint, or ssh_key_path in the"
                " provider options",
            )
        return private_key_from_file(Path(path), "ssh_key_path")

    @staticmethod
    def _inline_key(value: SecretStr) -> SecretStr:
        return private_key_from_base64(value.get_secret_value(), "private_key_base64")
