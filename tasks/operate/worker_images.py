# SPDX-License-Identifier: Apache-2.0
"""Steps that stage worker images."""

from pathlib import Path

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import load_block
from tasks.folders import require_named_files
from tasks.step import step
from tasks.transfer.progress import ProgressArtifacts
from tradewind.host.connection import connect
from tradewind.model.host import HostAccess
from tradewind.model.storage import Volume
from tradewind.worker import staging


@step("load-endpoint-{endpoint}")
def load_endpoint(endpoint: str, default_key_path: str | None = None) -> HostAccess:
    """Load an endpoint block."""
    return load_block(LibvirtEndpoint, endpoint).access(default_key_path)


@step("checksum-{image}")
def checksum(image: str) -> str:
    """Check that the image is one that may be named, and sum it up."""
    require_named_files([image])
    return staging.checksum(Path(image))


@step("look-for-{volume}")
def is_staged(host: HostAccess, pool: str, volume: str, expected: str) -> bool:
    """Look whether the host has this very image already."""
    with connect(host) as connection:
        return staging.is_staged(connection, pool, volume, expected)


@step("upload-{volume}")
def upload(host: HostAccess, pool: str, volume: str, image: str, expected: str) -> None:
    """Upload the image and prove that it arrived."""
    path = Path(image)
    target = Volume(pool=pool, name=volume, capacity=path.stat().st_size, format="raw")
    with connect(host) as connection:
        progress = ProgressArtifacts(volume).of_upload(volume)
        staging.stage(connection, target, path, expected, progress)
