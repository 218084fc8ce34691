# SPDX-License-Identifier: Apache-2.0
"""A domain without what an older libvirt refuses: its judge is a list of words that it knows not.

Libvirt itself judges in tests/unit/host/target/test_objections.py; these are older than any here.
"""

import pytest

from tradewind.domainxml import omissions
from tradewind.domainxml.document import parse, to_text

DOMAIN = """<domain type="kvm"><name>a</name>
  <os firmware="efi"><type>hvm</type>
    <firmware><feature enabled="{keys}" name="enrolled-keys"/>
      <feature enabled="{keys}" name="secure-boot"/></firmware></os>
  <features><acpi/><apic/><hyperv mode="custom"><relaxed state="on"/>
    <stimer state="on"><direct state="on"/></stimer><runtime state="off"/></hyperv></features>
  <cpu mode="maximum" check="none" migratable="on">
    <topology sockets="1" dies="1" clusters="1" cores="2" threads="1"/></cpu>
  <devices>
    <disk><driver error_policy="stop"/><target dev="vda" bus="scsi" rotation_rate="7200"/>
      <serial>S</serial></disk>
    <disk><target dev="vdb" bus="scsi"/><serial>T</serial></disk>
    <interface><mac address="52:54:00:1a:2b:3c"/><mtu size="9000"/></interface>
    <tpm model="tpm-crb"><backend type="emulator" version="2.0" persistent_state="yes"/></tpm>
  </devices></domain>"""


def left_out(*unknown: str, keys: str = "no") -> list[tuple[str, str]] | None:
    """Leave out what a libvirt refuses that does not know these words."""
    found = omissions.refused(
        DOMAIN.format(keys=keys), lambda xml: not any(word in xml for word in unknown)
    )
    return None if found is None else [(each.path, each.what) for each in found]


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        ((), []),
        (("clusters",), [("cpu/topology/@clusters", "")]),
        (("clusters", "dies"), [("cpu/topology/@dies", ""), ("cpu/topology/@clusters", "")]),
        (("migratable",), [("cpu/@migratable", '<cpu migratable="on">')]),
        (("<firmware",), [("os/firmware", "")]),
        (("direct",), [("features/hyperv/stimer/direct", '<direct state="on"> of stimer')]),
        (("runtime",), [("features/hyperv/runtime", "")]),
        (("hyperv",), [("features/hyperv", '<hyperv mode="custom"> of features')]),
        (
            ("persistent_state",),
            [("devices/tpm/backend/@persistent_state", '<backend persistent_state="yes"> of tpm')],
        ),
        (
            ("rotation_rate", "error_policy", "mtu", ">T<"),
            [
                ("devices/disk[2]/serial", "<serial> of disk vdb"),
                (
                    "devices/disk[1]/target/@rotation_rate",
                    '<target rotation_rate="7200"> of disk vda',
                ),
                (
                    "devices/disk[1]/driver/@error_policy",
                    '<driver error_policy="stop"> of disk vda',
                ),
                ("devices/interface/mtu", '<mtu size="9000"> of NIC 52:54:00:1a:2b:3c'),
            ],
        ),
    ],
)
def test_no_more_is_left_out_than_is_refused(
    unknown: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    assert left_out(*unknown) == expected


def test_firmware_that_is_asked_for_is_told() -> None:
    assert left_out("enrolled-keys", keys="yes") == [
        ("os/firmware/feature[1]", '<feature enabled="yes" name="enrolled-keys"> of firmware')
    ]


@pytest.mark.parametrize("unknown", ["<tpm", "maximum", "<name>", "vdb", "<acpi"])
def test_what_a_machine_cannot_be_without_stays(unknown: str) -> None:
    assert left_out(unknown) is None


def test_pieces_are_taken_out_by_the_places_that_they_had() -> None:
    domain = parse(DOMAIN.format(keys="no"))
    places = [
        "devices/disk[1]/serial",
        "devices/disk[2]/serial",
        "cpu/topology/@dies",
        "pm",
        "a/@b",
    ]
    omissions.without(domain, places)
    assert [disk.find("serial") for disk in domain.iterfind("devices/disk")] == [None, None]
    assert 'sockets="1" clusters="1"' in to_text(domain)
