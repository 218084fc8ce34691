# SPDX-License-Identifier: Apache-2.0
"""Hosts as people write them down."""

import libvirt
import pytest

from tradewind.errors import OptionError
from tradewind.remote.address import HostAddress, bracketed, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("kvm1.example", HostAddress("kvm1.example")),
        (" kvm_1 ", HostAddress("kvm_1")),
        ("198.18.0.11", HostAddress("198.18.0.11")),
        ("kvm1:2222", HostAddress("kvm1", 2222)),
        ("mover@kvm1", HostAddress("kvm1", None, "mover")),
        ("mover@kvm1:22", HostAddress("kvm1", 22, "mover")),
        ("2001:db8::1", HostAddress("2001:db8::1")),
        ("[2001:db8::1]", HostAddress("2001:db8::1")),
        ("[2001:db8::1]:2222", HostAddress("2001:db8::1", 2222)),
        ("mover@[fe80::1%eth0]:22", HostAddress("fe80::1%eth0", 22, "mover")),
        ("::1", HostAddress("::1")),
        ("ssh://mover@kvm1", HostAddress("kvm1", None, "mover")),
        ("qemu+ssh://kvm1/system", HostAddress("kvm1", None, None, "system")),
        ("qemu+ssh://mover@kvm1:22/session", HostAddress("kvm1", 22, "mover", "session")),
        (
            "qemu+ssh://mo%40x@[2001:db8::1]:22/system",
            HostAddress("2001:db8::1", 22, "mo@x", "system"),
        ),
    ],
)
def test_forms(text: str, address: HostAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no name or address"),
        ("-oProxyCommand=x", "no name or address"),
        ("kvm1 kvm2", "no name or address"),
        ("kvm1/24", "no name or address"),
        ("kvm1:ssh", "has no port behind its colon"),
        ("kvm1:0", "has no port behind its colon"),
        ("kvm1:65536", "has no port behind its colon"),
        ("[2001:db8::1", "no address that can be read"),
        ("2001:db8::1::2", "no IPv6 address"),
        ("https://kvm1/", "no URI of libvirt over SSH"),
        ("qemu+tls://kvm1/system", "no URI of libvirt over SSH"),
        ("qemu+ssh://kvm1:99999/system", "no URI that can be read"),
        ("qemu+ssh://kvm1/system?keyfile=/root/.ssh/id", "has parameters"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        parse_address(text)


def test_password_is_refused_and_not_shown() -> None:
    with pytest.raises(OptionError) as caught:
        parse_address("qemu+ssh://mover:hunter2@kvm1/system")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["kvm1", "198.18.0.11", "2001:db8::1", "fe80::1%eth0"])
def test_uri_is_one_for_libvirt(host: str) -> None:
    """Libvirt's own parser: a URI that it cannot read is an invalid argument for it."""
    uri = f"test://{bracketed(host)}/default"
    with pytest.raises(libvirt.libvirtError) as caught:
        libvirt.open(uri)
    assert caught.value.get_error_code() != libvirt.VIR_ERR_INVALID_ARG
