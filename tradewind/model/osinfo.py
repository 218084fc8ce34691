# SPDX-License-Identifier: Apache-2.0
"""What libosinfo calls an operating system, by what its os-release says.

Names as in the osinfo-db package (data/os); a program that does not know one shows no icon.
"""

import re
from typing import Final

# (ID of os-release, which VERSION_IDs, libosinfo's name with the parts of the version).
_NAMES: Final = (
    ("debian", r"(\d+)(?:\.\d+)?", "http://debian.org/debian/{0}"),
    ("ubuntu", r"(\d+\.\d+)", "http://ubuntu.com/ubuntu/{0}"),
    ("fedora", r"(\d+)", "http://fedoraproject.org/fedora/{0}"),
    ("rhel", r"(\d+\.\d+)", "http://redhat.com/rhel/{0}"),
    ("centos", r"([89]|10)", "http://centos.org/centos-stream/{0}"),
    ("centos", r"(7)", "http://centos.org/centos/{0}.0"),
    ("almalinux", r"(\d+)(?:\.\d+)?", "http://almalinux.org/almalinux/{0}"),
    ("rocky", r"(\d+)(?:\.\d+)?", "http://rockylinux.org/rocky/{0}"),
    ("ol", r"(\d+\.\d+)", "http://oracle.com/ol/{0}"),
    ("opensuse-leap", r"(\d+\.\d+)", "http://opensuse.org/opensuse/{0}"),
    ("opensuse-tumbleweed", r".*", "http://opensuse.org/opensuse/tumbleweed"),
    ("sles", r"(1[5-9](?:\.\d+)?)", "http://suse.com/sle/{0}"),
    ("sles", r"(1[0-4](?:\.\d+)?)", "http://suse.com/sles/{0}"),
)
# "What is known of Linux" of a year's kind of hardware: VirtIO and UEFI included.
_ANY_LINUX: Final = "http://libosinfo.org/linux/2022"


def osinfo_id(os_id: str, version: str) -> str:
    """Name a Linux distribution as libosinfo does; Linux in general when it is not known here."""
    for known, pattern, name in _NAMES:
        found = re.fullmatch(pattern, version) if known == os_id else None
        if found:
            return name.format(*found.groups())
    return _ANY_LINUX
