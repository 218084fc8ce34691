# SPDX-License-Identifier: Apache-2.0
"""NetworkManager's keyfiles, judged by its own library."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.unit.morphing.linux import network_readers
from tests.unit.morphing.linux.network_readers import needs_libnm
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import networkmanager
from tradewind.morphing.linux.steps import dhcp, interface_names

ASK = MorphOptions()
KEEP = MorphOptions(set_dhcp=False)
MAC = "52:54:00:aa:00:01"
PATH = f"{networkmanager.FOLDER}/a.nmconnection"
UUID = "uuid=2b0e1a86-5b9d-4e68-8b0a-0c9a2f5d2a11\n"


def guest_with(root: Path, text: str) -> FakeDebian:
    guest = FakeDebian(root, {"/usr/sbin/NetworkManager": "", PATH: text})
    guest.unit_states["NetworkManager.service"] = "enabled"
    return guest


@needs_libnm
def test_routes_rules_and_tables_go_with_the_addresses() -> None:
    text = (
        f"[connection]\nid=a\n{UUID}type=ethernet\n[ipv4]\nmethod = manual\n"
        "address1=10.0.0.5/24,10.0.0.1\nroute1=10.9.0.0/16,10.0.0.9\nroute1_options=table=7\n"
        "route-table=200\nrouting-rule1=priority 5 from 10.0.0.0/8 table 200\n"
        "[ipv6]\nmethod=manual\naddress1=2001:db8::5/64\nroute-table=201\n"
    )
    read = network_readers.keyfile(networkmanager.to_dhcp({PATH: text}).texts[PATH])
    plain = {"method": "auto", "addresses": [], "gateway": "", "routes": 0, "rules": 0, "table": 0}
    assert read["ipv4"] == plain
    assert read["ipv6"] == plain


OTHERS = {
    "wireguard": "[wireguard]\nprivate-key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEE=\n",
    "dummy": "",
    "tun": "[tun]\nmode=1\n",
    "ip-tunnel": "[ip-tunnel]\nmode=1\nlocal=1.1.1.1\nremote=2.2.2.2\n",
    "vrf": "[vrf]\ntable=200\n",
    "macsec": "[macsec]\nparent=x0\nmode=0\nmka-cak=00112233445566778899001122334455\n"
    f"mka-ckn={'0011223344556677' * 4}\n",
    "macvlan": "[macvlan]\nmode=1\nparent=x0\n",
}


@needs_libnm
@pytest.mark.parametrize("kind", OTHERS)
def test_what_no_dhcp_server_serves_keeps_its_addresses(
    tmp_path: Path, found: GuestOS, kind: str
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = (
        f"[connection]\nid=a\n{UUID}type={kind}\ninterface-name=inner\n{OTHERS[kind]}"
        "[ipv4]\nmethod=manual\naddress1=10.9.0.1/24\n[ipv6]\nmethod=disabled\n"
    )
    assert network_readers.keyfile(text)["ipv4"]["addresses"] == ["10.9.0.1"]
    guest = guest_with(tmp_path, text)
    outcome = dhcp.apply(guest, one, ASK)
    assert guest.read_text(PATH) == text
    assert "inner: addresses stay" in outcome.remedy


@pytest.mark.parametrize("kind", ["loopback", "ethernet"])
def test_loopback_is_no_nic(tmp_path: Path, found: GuestOS, kind: str) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = (
        f"[connection]\nid=lo\n{UUID}type={kind}\ninterface-name=lo\n"
        "[ipv4]\nmethod=manual\naddress1=10.10.10.10/32\n"
    )
    guest = guest_with(tmp_path, text)
    assert not interface_names.apply(guest, one, ASK).changed
    dhcp.apply(guest, one, ASK)
    assert guest.read_text(PATH) == text


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("path=pci-0000:0b:00.0;", "match.path"),
        ("driver=vmxnet3;e1000*;", "match.driver"),
        ("driver=!virtio_net;", "match.driver"),
        ("driver=virtio*;", ""),
        ("driver=|virtio_net;vmxnet3;", ""),
        ("interface-name=en*;", ""),
        ("interface-name=ens*;!ens9;", ""),
        ("interface-name=eth*;eno*;", ""),
        ("interface-name=en[op]?;", "the name en[op]?"),
    ],
)
def test_conditions_on_the_old_hardware_are_found(
    tmp_path: Path, found: GuestOS, condition: str, said: str
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = (
        f"[connection]\nid=a\n{UUID}type=ethernet\n[match]\n{condition}\n"
        "[ipv4]\nmethod=manual\naddress1=10.0.0.5/24\n"
    )
    guest = guest_with(tmp_path, text)
    if not said:
        interface_names.apply(guest, one, KEEP)
        dhcp.apply(guest, one, ASK)
        assert guest.list(networkmanager.FOLDER) == ("a.nmconnection",)
        return
    with pytest.raises(MorphingError, match="by what the new NICs do not have") as caught:
        interface_names.apply(guest, one, KEEP)
    assert said in str(caught.value)
    dhcp.apply(guest, one, ASK)
    assert len(guest.list(networkmanager.FOLDER)) == 2
