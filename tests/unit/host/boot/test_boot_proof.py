# SPDX-License-Identifier: Apache-2.0
"""Three witnesses of a boot, the best one first."""

import contextlib
import socket
from collections.abc import Iterator

import libvirt
import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import LateError, NotFoundError
from tradewind.host.boot import boot_proof
from tradewind.host.boot.console import Console
from tradewind.host.domain import agent, domains
from tradewind.model.host import HostAccess
from tradewind.model.proof import BootEvidence, BootProof
from tradewind.remote.route import Route
from tradewind.waiting import wait_for

ANSWERS = {
    "guest-get-osinfo": {"pretty-name": "Debian GNU/Linux 12", "kernel-release": "6.1.0-28"},
    "guest-get-host-name": {"host-name": "web01"},
}


@pytest.fixture
def machine(host: FakeConnection) -> str:
    domains.start_transient(
        host,
        '<domain type="test"><name>web01</name><memory>1024</memory>'
        "<os><type>hvm</type></os></domain>",
    )
    return "web01"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every 10 ms instead of every 2 s."""
    real = wait_for
    monkeypatch.setattr(
        boot_proof,
        "wait_for",
        lambda look, what, timeout, every: real(look, what, timeout, every=0.01),
    )


def with_address(host: FakeConnection, address: str) -> None:
    entry = {"type": libvirt.VIR_IP_ADDR_TYPE_IPV4, "addr": address}
    host.host.addresses["web01"] = {"eth0": {"hwaddr": "", "addrs": [entry]}}


@contextlib.contextmanager
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let a port of this machine stand for the guest's SSH; connect to nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(boot_proof, "PORTS", (port,))
        real = socket.create_connection
        monkeypatch.setattr(
            socket,
            "create_connection",
            lambda address, timeout: real(("127.0.0.1", address[1]), timeout),
        )
        yield port


def prove(
    host: FakeConnection, console: Console, *, agent_expected: bool = False, timeout: float = 0.3
) -> BootProof:
    return boot_proof.prove_boot(
        host, "web01", console, timeout=timeout, agent_expected=agent_expected
    )


def test_agent_is_the_best_witness(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "heard", lambda _domain, command, _kind: ANSWERS[command])
    with_address(host, "198.18.5.7")
    console = Console()
    console.feed(b"web01 login: ")
    proof = prove(host, console, agent_expected=True)
    assert proof.evidence is BootEvidence.AGENT
    assert proof.addresses == ("198.18.5.7",)
    assert proof.lines == (
        "agent: Debian GNU/Linux 12, kernel 6.1.0-28",
        "host name: web01",
        "addresses: 198.18.5.7",
    )


def test_agent_without_an_address_is_not_yet_enough(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "heard", lambda _domain, command, _kind: ANSWERS[command])
    with pytest.raises(LateError):
        prove(host, Console())


def test_lease_and_open_port(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_address(host, "198.18.5.7")
    with listening(monkeypatch) as port:
        proof = prove(host, Console())
    assert proof.evidence is BootEvidence.ADDRESS
    assert proof.lines == (f"DHCP lease 198.18.5.7; TCP port {port} answers",)


def test_a_port_that_only_the_host_reaches_is_tried_from_there(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Host:
        def reaches(self, address: str, port: int) -> bool:
            return (address, port) == ("198.18.5.7", 3389)

    via = HostAccess(host="kvm1", username="mover", private_key=SecretStr("k"), host_key="h")
    asked: list[HostAccess] = []

    @contextlib.contextmanager
    def connect_to_host(access: HostAccess) -> Iterator[Host]:
        asked.append(access)
        yield Host()

    with_address(host, "198.18.5.7")
    monkeypatch.setattr(boot_proof, "_listens", lambda _address, _port: False)
    monkeypatch.setattr("tradewind.remote.shell.connect_to_host", connect_to_host)
    proof = boot_proof.prove_boot(
        host, "web01", Console(), timeout=1, agent_expected=False, route=Route(via)
    )
    assert proof.lines == ("DHCP lease 198.18.5.7; TCP port 3389 answers",)
    assert asked == [via]


def test_lease_alone_proves_nothing(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_address(host, "198.18.5.7")
    monkeypatch.setattr(boot_proof, "_listens", lambda _address, _port: False)
    with pytest.raises(LateError):
        prove(host, Console())


@pytest.mark.parametrize(
    ("printed", "proven"),
    [
        (b"Debian GNU/Linux 12 web01 ttyS0\r\n\r\nweb01 login: ", True),
        (b"Starting login: service\r\nKernel panic\r\n", False),
        (b"GRUB loading.\r\n", False),
    ],
)
def test_console_shows_a_login_prompt(
    host: FakeConnection, machine: str, printed: bytes, proven: bool
) -> None:
    console = Console()
    console.feed(printed)
    if proven:
        assert prove(host, console).evidence is BootEvidence.CONSOLE
    else:
        with pytest.raises(LateError):
            prove(host, console)


def test_expected_agent_is_waited_for(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console()
    console.feed(b"web01 login: ")
    asked: list[str] = []

    def late_agent(_domain: object, command: str, _kind: type) -> object:
        asked.append(command)
        return ANSWERS[command] if len(asked) > 3 else None

    with_address(host, "198.18.5.7")
    monkeypatch.setattr(boot_proof, "_listens", lambda _address, _port: False)
    monkeypatch.setattr(agent, "heard", late_agent)
    assert prove(host, console, agent_expected=True, timeout=5).evidence is BootEvidence.AGENT


def test_weaker_witness_is_taken_when_time_is_over(host: FakeConnection, machine: str) -> None:
    console = Console()
    console.feed(b"web01 login: ")
    proof = prove(host, console, agent_expected=True)
    assert proof.evidence is BootEvidence.CONSOLE


def test_weaker_witness_is_taken_after_patience(
    host: FakeConnection, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_proof, "PATIENCE", 0.05)
    console = Console()
    console.feed(b"web01 login: ")
    assert prove(host, console, agent_expected=True, timeout=30).evidence is BootEvidence.CONSOLE


def test_unproven_boot_tells_what_the_console_said(host: FakeConnection, machine: str) -> None:
    console = Console()
    console.feed(b"ALERT! UUID=1234 does not exist. Dropping to a shell!\r\n(initramfs) ")
    with pytest.raises(LateError, match="machine web01 proves that it booted") as caught:
        prove(host, console)
    assert "Dropping to a shell" in caught.value.message
    assert "vm_console_log_dir" in caught.value.hint


def test_unknown_machine(host: FakeConnection) -> None:
    with pytest.raises(NotFoundError, match="no machine “web01”"):
        prove(host, Console())
