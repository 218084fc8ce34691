# SPDX-License-Identifier: Apache-2.0
"""The temporary VM on the destination host."""

from enum import StrEnum

from pydantic import SecretStr

from tradewind.model.host import HostAccess
from tradewind.model.record import Record
from tradewind.model.run import Purpose


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
