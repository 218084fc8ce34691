# SPDX-License-Identifier: Apache-2.0
"""A libvirt host over SSH, source or destination."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, SecretStr, model_validator

from blocks.source_block import SourceBlock
from tradewind.errors import KeyMaterialError, OptionError
from tradewind.model.host import HostAccess, WorkerAccess
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import SourceKind
from tradewind.model.source import (
    FREEZE_TIMEOUT,
    RESERVE,
    RESERVE_PERCENT,
    BackupTransport,
    SourceCare,
)
from tradewind.remote.address import parse_address
from tradewind.remote.hostkey import PinnedKey
from tradewind.remote.keys import private_key_from_base64, private_key_from_file
from tradewind.sources.libvirt.source import LibvirtSource
from tradewind.units import MiB


class LibvirtEndpoint(SourceBlock):
    """A KVM host, reached by libvirt over SSH with an account in the groups libvirt and kvm."""

    _block_type_name = "Tradewind Libvirt Endpoint"
    _block_type_slug = "tradewind-libvirt-endpoint"

    kind: ClassVar[SourceKind] = SourceKind.LIBVIRT
    is_host: ClassVar[bool] = True

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
        description="Limit in Mbit/s for all transfers from here together. Empty: no limit.",
        gt=0,
    )
    scratch_pool: str | None = Field(
        None,
        title="Scratch pool",
        description="As a source: storage pool (of type dir, fs or netfs) for the files that keep "
        "what a running guest overwrites while it is read. Empty: beside each disk.",
    )
    scratch_reserve: int = Field(
        RESERVE // MiB,
        title="Scratch reserve (MiB)",
        description="As a source: when the file system of these files has no more free than this, "
        "the snapshot is given up, and the guest goes on.",
        ge=0,
    )
    scratch_reserve_percent: int = Field(
        RESERVE_PERCENT,
        title="Scratch reserve (%)",
        description="The same in percent of that file system; the larger of both counts.",
        ge=0,
        le=90,
    )
    freeze_timeout: int = Field(
        FREEZE_TIMEOUT,
        title="Freeze time limit",
        description="As a source: seconds that a guest agent may take to freeze its file systems; "
        "then the snapshot is made without, as after a power cut.",
        ge=1,
        le=3600,
    )

    backup_transport: BackupTransport = Field(
        BackupTransport.UNIX,
        title="Backup transport",
        description="As a source: how QEMU serves what is read of a machine, to be forwarded "
        "through SSH: unix, a socket that only the account can open; or tcp, a port of the host's "
        "loopback that each of its accounts can open, where a confined QEMU may make no socket.",
    )

    enabled: bool = Field(
        True,
        title="Enabled",
        description="Switched off, the sweep of all hosts leaves this one out: for a host that is "
        "down or gone for a while.",
    )

    @model_validator(mode="before")
    @classmethod
    def _address_in_parts(cls, values: Any) -> Any:
        """Understand user@host, host:port and a URI of libvirt; what they say counts once."""
        if not isinstance(values, dict) or not str(values.get("host") or "").strip():
            return values
        address = parse_address(str(values["host"]))
        written = {
            name: said
            for name, said in asdict(address).items()
            if said is not None and not _says(cls, values, name, said)
        }
        return {**values, **written}

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

    def open_source(self, options: ProviderOptions) -> LibvirtSource:
        """Read machines of this host, with the block's key or the one of the provider options."""
        return LibvirtSource(self.access(options.ssh_key_path), self.care())

    def care(self) -> SourceCare:
        """Return what the guests of this source are spared."""
        return SourceCare(
            scratch_pool=self.scratch_pool or None,  # a form sends an empty text for no pool
            scratch_reserve=self.scratch_reserve * MiB,
            scratch_reserve_percent=self.scratch_reserve_percent,
            freeze_timeout=self.freeze_timeout,
            backup_transport=self.backup_transport,
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


def _says(block: type[LibvirtEndpoint], values: Mapping[str, Any], name: str, said: Any) -> bool:
    """Whether a field says the same as the host's address; OptionError when it says another thing.

    A field that is empty or has its default says nothing.
    """
    own = values.get(name)
    if name == "host" or own in (None, "", block.model_fields[name].default):
        return False
    if str(own) != str(said):
        raise OptionError(
            f"{name} is “{own}”, and the host's address says “{said}”", "say it in one place only"
        )
    return True
