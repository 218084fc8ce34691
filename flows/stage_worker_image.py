# SPDX-License-Identifier: Apache-2.0
"""Put the worker image into a dir pool of a host, when it is not there already."""

from prefect import flow

from tasks.environment import load_options
from tasks.operate.worker_images import checksum, is_staged, load_endpoint, upload


@flow(flow_run_name="stage-{volume}-on-{endpoint}")
def stage_worker_image(
    endpoint: str,
    pool: str,
    image: str,
    volume: str = "tradewind-worker.qcow2",
    options: str = "",
) -> str:
    """Upload a worker image unless the host has it already, and say what was done.

    Args:
        endpoint: Name of the block “Tradewind Libvirt Endpoint” of the host.
        pool: A dir pool of that host.
        image: Path of the qcow2 image on the machine that runs the flow, below a folder of its
            TRADEWIND_FOLDERS.
        volume: Name of the volume, as the option migr_image_map names it.
        options: Name of a block “Tradewind Provider Options”, which names the key for an endpoint
            that carries none. Left empty: the endpoint has its own.
    """
    default_key = load_options(options).ssh_key_path if options else None
    host = load_endpoint(endpoint, default_key)
    expected = checksum(image)
    if is_staged(host, pool, volume, expected):
        return f"{volume} in pool {pool} of {endpoint} is up to date"
    upload(host, pool, volume, image, expected)
    return f"{volume} was staged in pool {pool} of {endpoint}"
