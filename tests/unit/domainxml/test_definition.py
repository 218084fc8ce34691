# SPDX-License-Identifier: Apache-2.0
"""Definitions that a person edited, and ones that only libvirt wrote again."""

import pytest

from tradewind.domainxml.definition import is_same

PLAIN = """<domain type='kvm'><name>web</name><memory unit='KiB'>1024</memory><vcpu>1</vcpu>
<os firmware='efi'><type>hvm</type></os><devices><disk type='file' device='disk'>
<source file='/images/a.qcow2'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<vcpu>1</vcpu>", "<vcpu current='1'>2</vcpu>"),
        ("bus='virtio'", "bus='sata'"),
        ("/images/a.qcow2", "/images/b.qcow2"),
        ("</devices>", "<hostdev mode='subsystem' type='pci'/></devices>"),
        ("<name>web</name>", "<name>web2</name>"),
    ],
)
def test_edits_are_seen(old: str, new: str) -> None:
    assert not is_same(PLAIN, PLAIN.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\n   "),
        ("bus='virtio'", 'bus="virtio"'),
        ("<vcpu>", "<title>shop</title><metadata><x xmlns='urn:x'/></metadata><vcpu>"),
        ("</os>", "<nvram template='/fw/VARS.fd'>/var/lib/web_VARS.fd</nvram></os>"),
    ],
)
def test_what_is_no_edit_of_the_machine(old: str, new: str) -> None:
    assert is_same(PLAIN, PLAIN.replace(old, new))
