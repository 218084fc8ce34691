# SPDX-License-Identifier: Apache-2.0
"""Put the worker image into a dir pool of a host, when it is not there already."""

from prefect import flow

from tasks.images import checksum, is_staged, load_endpoint, upload


@flow(flow_run_name="stage-{volume}-on-{endpoint}")
def stage_worker_image(
    endpoint: str,
    pool: str,
    image: str,
    volume: str = "tradewind-worker.qcow2",
    ssh_key_path: str = "",
) -> str:
    """Upload a worker image unless the host has it already, and say what was done.

    Args:
        endpoint: Name of the block “Tradewind Libvirt Endpoint” of the host.
        pool: A dir pool of that host.
        image: Path of the qcow2 image on the machine that runs the flow.
        volume: Name of the volume, as the option migr_image_map names it.
        ssh_key_path: Path of an SSH key on the machine that runs the flow, for an endpoint that
            carries none.
    """
    host = load_endpoint(endpoint, ssh_key_path)
    expected = checksum(image)
    if is_staged(host, pool, volume, expected):
        return f"{volume} in pool {pool} of {endpoint} is up to date"
    upload(host, pool, volume, image, expected)
    return f"{volume} was staged in pool {pool} of {endpoint}"
