# SPDX-License-Identifier: Apache-2.0
"""Blocks for whole flows, with keys that were never used anywhere."""

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from blocks import LibvirtEndpoint, ProviderOptionsBlock


def private_key() -> str:
    """Make a private key as OpenSSH writes it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@dataclass(frozen=True)
class Blocks:
    """The names of stored blocks, and the key in one of them."""

    endpoint: str
    options: str
    key: str


def store_blocks(name: str, **options: str) -> Blocks:
    """Store an endpoint and provider options under one name."""
    key = private_key()
    LibvirtEndpoint(
        host="kvm1.example",
        username="mover",
        private_key_base64=SecretStr(base64.b64encode(key.encode()).decode()),
        host_key="SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("="),
    ).save(name)
    values = {
        "default_storage_pool": "fast",
        "migr_image_map": "linux:worker.qcow2",
        "migr_worker_network": "lan",
        "cpu_features": "",
        **options,
    }
    ProviderOptionsBlock.model_validate(values).save(name)
    return Blocks(endpoint=name, options=name, key=key)
