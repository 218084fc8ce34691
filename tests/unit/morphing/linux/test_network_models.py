# SPDX-License-Identifier: Apache-2.0
"""Networks that hypothesis makes, in six formats: the readers say what became of each interface.

Files in /etc/sysconfig are read by the shell, as the initscripts and wicked's predecessors do.
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import completed
from tests.unit.morphing.linux import network_models, network_readers
from tests.unit.morphing.linux.network_models import NICS, ModelNetwork, networks
from tests.unit.morphing.linux.network_readers import (
    needs_ifupdown,
    needs_libnm,
    needs_netplan,
    needs_networkd,
)
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network.survey import read
from tradewind.morphing.linux.steps import dhcp, interface_names

PROGRAMS: Final = {
    "Netplan": ["/usr/libexec/netplan/generate"],
    "systemd-networkd": ["/lib/systemd/systemd-networkd"],
    "NetworkManager": ["/usr/sbin/NetworkManager"],
    "ifupdown": ["/sbin/ifup", "/sbin/dhclient"],
    "ifcfg": ["/etc/sysconfig/network-scripts/ifup", "/sbin/dhclient"],
    "wicked": ["/usr/sbin/wicked"],
}
Reader = Callable[[Path, Mapping[str, str], str], str]


def generated(root: Path, texts: Mapping[str, str], name: str) -> str:
    made = network_readers.netplan_generated(root, texts).get(f"10-netplan-{name}.network", "")
    asks = "DHCP=ipv4" in made or "DHCP=yes" in made
    return "dhcp" if asks else "fixed" if "Address=" in made else "none"


def profile(root: Path, texts: Mapping[str, str], name: str) -> str:
    text = texts[f"/etc/NetworkManager/system-connections/{name}"]
    if "\nmaster=" in text:
        return "none"
    method = network_readers.keyfile(text)["ipv4"]["method"]
    return {"auto": "dhcp", "manual": "fixed"}.get(str(method), "none")


def started(root: Path, texts: Mapping[str, str], name: str) -> str:
    commands = network_readers.ifup(root, texts, name)
    asks = "DHCP client" in commands or "dhclient" in commands
    return "dhcp" if asks else "fixed" if "ip addr add" in commands else "none"


def sourced(root: Path, texts: Mapping[str, str], name: str) -> str:
    path = next(p for p in texts if p.endswith(f"/ifcfg-{name}"))
    script = f'{texts[path]}\necho "$BOOTPROTO,$IPADDR"'
    argv = ["sh", "-c", script]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    protocol, _, address = said.partition(",")
    return "dhcp" if protocol == "dhcp" else "fixed" if address else "none"


def morphed(root: Path, os: GuestOS, format_: str, network: ModelNetwork) -> dict[str, str]:
    """What the guest's files are after both steps, a second time changing nothing."""
    guest = FakeDebian(root, network_models.WRITERS[format_](network))
    for path in PROGRAMS[format_]:
        guest.write_text(path, "")
    units = ("NetworkManager", "systemd-networkd", "wicked")
    guest.unit_states |= {f"{unit}.service": "enabled" for unit in units}
    guest.on("netplan/generate", completed)
    options = MorphOptions()
    tied = interface_names.apply(guest, os, options).summary
    assert tied == ", ".join(f"{name} is {mac}" for name, mac in NICS.items())
    dhcp.apply(guest, os, options)
    assert not interface_names.apply(guest, os, options).changed
    assert not dhcp.apply(guest, os, options).changed
    return read(guest)


READERS: Final[Mapping[str, Reader]] = {
    "Netplan": generated,
    "NetworkManager": profile,
    "ifupdown": started,
    "ifcfg": sourced,
    "wicked": sourced,
}
MANY: Final = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@needs_netplan
@needs_libnm
@needs_ifupdown
@pytest.mark.parametrize("format_", READERS)
@given(network=networks())
@MANY
def test_each_interface_does_what_the_model_says(
    tmp_path_factory: pytest.TempPathFactory, found: GuestOS, format_: str, network: ModelNetwork
) -> None:
    root = tmp_path_factory.mktemp("network")
    new = morphed(root / "guest", found, format_, network)
    reader = READERS[format_]
    said = {i.name: reader(root / i.name, new, i.name) for i in network.interfaces}
    assert said == {i.name: network.expected(i) for i in network.interfaces}


@needs_networkd
@given(network=networks())
@settings(parent=MANY, max_examples=8)
def test_networkd_takes_the_files_of_the_model(
    tmp_path_factory: pytest.TempPathFactory, found: GuestOS, network: ModelNetwork
) -> None:
    root = tmp_path_factory.mktemp("network")
    new = morphed(root / "guest", found, "systemd-networkd", network)
    networks_only = {path: text for path, text in new.items() if path.endswith(".network")}
    taken = network_readers.networkd_files(root / "read", networks_only, NICS)
    assert taken == {name: f"{name}.network" for name in NICS}
    for interface in network.interfaces:
        text = new[f"/etc/systemd/network/{interface.name}.network"]
        asks = "DHCP=yes" in text
        said = "dhcp" if asks else "fixed" if "Address=" in text else "none"
        assert said == network.expected(interface)
