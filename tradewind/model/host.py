# SPDX-License-Identifier: Apache-2.0
"""How a host is reached, and what it offers."""

from enum import StrEnum

from pydantic import SecretStr

from tradewind.model.record import Record


class HostAccess(Record):
    """Libvirt over SSH. `private_key` is the key's text (OpenSSH or PEM), never its path.

    `host_key` is a known_hosts line, its "type base64" part alone, or a fingerprint "SHA256:…".
    """

    host: str
    port: int = 22
    username: str
    private_key: SecretStr
    host_key: str
    libvirt_path: str = "system"


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(Record):
    """One thing seen on a host before anything is touched."""

    severity: Severity
    what: str
    remedy: str = ""


class HostFacts(Record):
    """What a host offers. `kvm` is false where guests are emulated."""

    hostname: str
    libvirt_version: str
    qemu_version: str
    kvm: bool
    uefi: bool
    secure_boot: bool
    tpm: bool
    cpu_modes: tuple[str, ...]
    cpu_features: tuple[str, ...]
    machine_type: str
    pools: tuple[str, ...]
    networks: tuple[str, ...]
