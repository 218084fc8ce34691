# SPDX-License-Identifier: Apache-2.0
"""The NoCloud seed ISO that tells a worker who may log in.

Format: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html – an
ISO 9660 volume labelled CIDATA with the files meta-data and user-data.
"""

import json

from tradewind.iso import iso_image
from tradewind.worker.keys import KeyPair

LABEL = "CIDATA"


def seed_iso(instance: str, host_key: KeyPair, authorized_key: str) -> bytes:
    """Make the ISO for one worker: its host key, and the one key that may log in as root."""
    user_data = {
        "disable_root": False,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {
            "ed25519_private": host_key.private,
            "ed25519_public": f"{host_key.public} {instance}",
        },
        "users": [{"name": "root", "ssh_authorized_keys": [authorized_key]}],
        "package_update": False,
        "package_upgrade": False,
    }
    meta_data = {"instance-id": instance, "local-hostname": instance}
    return iso_image(
        LABEL,
        {
            # JSON is YAML (https://yaml.org/spec/1.2.2/#12-recommended-schemas).
            "user-data": "#cloud-config\n" + json.dumps(user_data, indent=1) + "\n",
            "meta-data": json.dumps(meta_data) + "\n",
        },
    )
