# SPDX-License-Identifier: Apache-2.0
"""What an operator stores in Prefect: endpoints, secrets, the provider options."""

from prefect.blocks.core import Block

from blocks.disk_images import DiskImageFolder
from blocks.endpoint import LibvirtEndpoint
from blocks.guest_secrets import GuestSecrets
from blocks.provider_options import ProviderOptionsBlock
from blocks.sources import SOURCES

ALL: tuple[type[Block], ...] = (*SOURCES, ProviderOptionsBlock, GuestSecrets)

__all__ = ["ALL", "DiskImageFolder", "GuestSecrets", "LibvirtEndpoint", "ProviderOptionsBlock"]
