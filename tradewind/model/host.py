# SPDX-License-Identifier: Apache-2.0
"""How a host is reached, and what it offers."""

from enum import StrEnum

from pydantic import SecretStr

from tradewind.model.record import Record


class WorkerAccess(StrEnum):
    """How the controller reaches the workers on a host."""

    DIRECT = "direct"
    VIA_HOST = "via-host"


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
    worker_access: WorkerAccess = WorkerAccess.DIRECT


class HostFacts(Record):
    """What a host offers. `kvm` is false where guests are emulated.

    Firmware, TPM, disk buses and the most vCPUs are those of guests of `machine_type`; the others
    are in `machine_types`. `port_groups` are written as "network/group"; `tagging` are networks
    that put NICs into VLANs. `devices` are the host's own network devices, bridges among them;
    empty where libvirt cannot list them.
    """

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
    machine_types: tuple[str, ...] = ()
    disk_buses: tuple[str, ...] = ()
    loaders: tuple[str, ...] = ()
    most_vcpus: int = 0
    port_groups: tuple[str, ...] = ()
    tagging: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
