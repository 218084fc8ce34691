# SPDX-License-Identifier: Apache-2.0
"""The config drive: a small CD that tells a created machine who it is.

Format: https://cloudinit.readthedocs.io/en/latest/reference/datasources/configdrive.html, an
ISO 9660 volume labelled config-2 with the OpenStack metadata service's documents.
"""

import json
import re
from typing import Final

from tradewind.iso import iso_image

LABEL: Final = "config-2"
_UNFIT: Final = re.compile(r"[^a-z0-9-]+")


def config_drive(uuid: str, name: str) -> bytes:
    """Make the drive of one machine.

    Its network is not on it: the guest's own configuration or DHCP says that. Nor are users or
    keys: none are known here but those that the guest has.
    """
    metadata = {
        "uuid": uuid,
        "name": name,
        "hostname": host_name(name),
        "launch_index": 0,
        "availability_zone": "",
        "public_keys": {},
        "meta": {"moved_by": "tradewind"},
    }
    return iso_image(LABEL, {"openstack/latest/meta_data.json": json.dumps(metadata, indent=1)})


def host_name(name: str) -> str:
    """Make a machine's name fit for a host name (RFC 1123): 63 letters, digits and hyphens."""
    return _UNFIT.sub("-", name.lower()).strip("-")[:63].rstrip("-") or "machine"
