# SPDX-License-Identifier: Apache-2.0
"""Names of libosinfo: each of these is in Debian 12's osinfo-db, or follows its pattern."""

import pytest

from tradewind.model.osinfo import osinfo_id


@pytest.mark.parametrize(
    ("os_id", "version", "name"),
    [
        ("debian", "12", "http://debian.org/debian/12"),
        ("ubuntu", "22.04", "http://ubuntu.com/ubuntu/22.04"),
        ("fedora", "41", "http://fedoraproject.org/fedora/41"),
        ("rhel", "8.6", "http://redhat.com/rhel/8.6"),
        ("centos", "9", "http://centos.org/centos-stream/9"),
        ("centos", "7", "http://centos.org/centos/7.0"),
        ("almalinux", "9.4", "http://almalinux.org/almalinux/9"),
        ("rocky", "9.0", "http://rockylinux.org/rocky/9"),
        ("ol", "8.5", "http://oracle.com/ol/8.5"),
        ("opensuse-leap", "15.4", "http://opensuse.org/opensuse/15.4"),
        ("opensuse-tumbleweed", "20261101", "http://opensuse.org/opensuse/tumbleweed"),
        ("sles", "15.4", "http://suse.com/sle/15.4"),
        ("sles", "12.5", "http://suse.com/sles/12.5"),
        ("arch", "", "http://libosinfo.org/linux/2022"),
        ("debian", "", "http://libosinfo.org/linux/2022"),
    ],
)
def test_name(os_id: str, version: str, name: str) -> None:
    assert osinfo_id(os_id, version) == name
