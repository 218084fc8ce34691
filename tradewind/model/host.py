# SPDX-License-Identifier: Apache-2.0
"""How hosts and their workers are reached, and what they offer."""

from enum import StrEnum

from pydantic import SecretStr

from tradewind.model.record import Record
from tradewind.model.run import Purpose


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


class WorkerAddressSource(StrEnum):
    """Who is asked for a worker's address."""

    AGENT = "agent"
    LEASE = "lease"
    ARP = "arp"


class WorkerSpec(Record):
    """What a worker shall be; `memory` and `volume_size` are bytes."""

    image_pool: str
    image_volume: str
    network: str
    vcpus: int
    memory: int
    volume_size: int
    address_source: WorkerAddressSource
    disk_slots: int


class Worker(Record):
    """A running worker. `host_key` is the "type base64" it proves itself with.

    `via` is the host that leads to it; None when its address is reached directly.
    """

    domain: str
    address: str
    port: int = 22
    username: str
    private_key: SecretStr
    host_key: str
    purpose: Purpose
    run_id: str
    seconds_to_ssh: float
    via: HostAccess | None = None

    @property
    def login(self) -> HostAccess:
        """The worker as a host of its own."""
        return HostAccess(
            host=self.address,
            port=self.port,
            username=self.username,
            private_key=self.private_key,
            host_key=self.host_key,
        )


class HttpsAccess(Record):
    """How to reach a writer service over HTTPS, with certificates made for this worker only.

    The first three are PEM texts; `client_key` belongs to `client_certificate`. `digest_key` (hex)
    is the secret of the digests that both ends make. `exposure` says why others reach the worker's
    ports, too; empty when its firewall lets nobody else.
    """

    address: str
    port: int
    ca_certificate: str
    client_certificate: str
    client_key: SecretStr
    digest_key: SecretStr
    via: HostAccess | None = None
    exposure: str = ""


class SshAccess(Record):
    """How to reach a writer service over SSH: the command that serves one connection.

    `exposure` is as with HTTPS.
    """

    worker: Worker
    command: tuple[str, ...]
    digest_key: SecretStr
    exposure: str = ""


WriterAccess = HttpsAccess | SshAccess
