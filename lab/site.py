# SPDX-License-Identifier: Apache-2.0
"""What an operator would store in Prefect for the lab: endpoints, options, the worker image."""

import base64
import os
from typing import Final

from pydantic import SecretStr

import images
from lab import prefect_server, settings
from lab.records import Lab, LabHost
from tradewind.model.host import HostAccess

SOURCE: Final = "lab-source"
DESTINATION: Final = "lab-destination"
WORKER_IMAGE: Final = "tradewind-worker.qcow2"
WORKER_POOL: Final = "worker-images"


def connect_prefect() -> str:
    """Start Prefect's server unless it runs, use it from here on, and return its UI's URL.

    Call it before anything imports Prefect: its client reads the environment once.
    """
    url = prefect_server.start()
    os.environ.update(prefect_server.client_settings())
    return url


def store_blocks(lab: Lab) -> None:
    """Register the block types and store the lab's endpoints and options."""
    from blocks import ALL, ProviderOptionsBlock  # noqa: PLC0415 - see above

    for block in ALL:
        block.register_type_and_schema()
    for name, host in ((SOURCE, lab.source), (DESTINATION, lab.destination)):
        store_endpoint(name, host)
    ProviderOptionsBlock(**options()).save("default", overwrite=True)


def store_endpoint(name: str, host: LabHost) -> None:
    """Store how a host is reached."""
    from blocks import LibvirtEndpoint  # noqa: PLC0415 - see above

    LibvirtEndpoint(**_endpoint(host)).save(name, overwrite=True)


def options() -> dict[str, object]:
    """Give the provider options that fit the lab: small workers, since they are emulated."""
    return {
        "default_storage_pool": "default",
        "migr_image_map": f"linux:{WORKER_IMAGE}",
        "migr_worker_network": "lan",
        "migr_worker_memory": 1024,
        "migr_worker_volume_size": 8,
        "sqlite_database_file": str(settings.ledger_file),
    }


def stage_worker_image(destination: str = DESTINATION) -> str:
    """Build the worker image and put it into a destination's pool, as an operator would."""
    from flows.stage_worker_image import stage_worker_image as flow  # noqa: PLC0415

    built = images.build("worker")
    return flow(destination, WORKER_POOL, str(built.disks[0]), WORKER_IMAGE)


def access(host: LabHost) -> HostAccess:
    """How the library reaches a host, without any block."""
    return HostAccess(
        host=host.address,
        port=host.port,
        username=host.username,
        private_key=SecretStr(host.key_path.read_text()),
        host_key=host.host_key,
    )


def _endpoint(host: LabHost) -> dict[str, object]:
    key = base64.b64encode(host.key_path.read_bytes()).decode()
    return {
        "host": host.address,
        "port": host.port,
        "username": host.username,
        "private_key_base64": key,
        "host_key": host.host_key,
    }
