# SPDX-License-Identifier: Apache-2.0
"""Watch a machine until it proves that it booted."""

import contextlib
import re
import socket
import time
from typing import Any, Final

import libvirt

from tradewind.errors import BootFailedError, ConnectionFailedError, LateError
from tradewind.host.boot.console import Console
from tradewind.host.domain import agent, domains
from tradewind.model.host import WorkerAddressSource
from tradewind.model.proof import BootEvidence, BootProof
from tradewind.plain_text import plain
from tradewind.remote import shell
from tradewind.remote.route import DIRECT, Route
from tradewind.units import KiB
from tradewind.waiting import wait_for

# A machine with an agent installed shows it within this many seconds after it shows a login
# prompt or a listening port; only then is the weaker witness taken.
PATIENCE: Final = 90

# Ports that a freshly booted machine most likely listens on: SSH, RDP, WinRM, HTTP.
PORTS: Final = (22, 3389, 5985, 80, 443)

_LOGIN: Final = re.compile(r"^\S.* login: ?$", re.MULTILINE)


def prove_boot(
    connection: libvirt.virConnect,
    name: str,
    console: Console,
    *,
    timeout: float,
    agent_expected: bool,
    route: Route = DIRECT,
) -> BootProof:
    """Wait for the guest agent, else an address with an open port, else a login prompt.

    Ports are tried from here, and then from the host when `route` leads through it.
    BootFailedError after `timeout` seconds, with what the console said last.
    """
    domain = domains.require_domain(connection, name)
    begun = time.monotonic()
    weaker: list[tuple[float, BootProof]] = []

    def look() -> BootProof | None:
        seconds = time.monotonic() - begun
        best = _agent(domain, seconds)
        if best is not None:
            return best
        if not weaker:
            found = _address(domain, seconds, route) or _console(console, seconds)
            if found is not None:
                weaker.append((seconds, found))
        settled = weaker and (not agent_expected or seconds - weaker[0][0] > PATIENCE)
        return weaker[0][1] if settled else None

    try:
        return wait_for(look, f"machine {name} proves that it booted", timeout, every=2)
    except LateError as error:
        if weaker:
            return weaker[0][1]
        raise BootFailedError(
            f"{error.message}; its console said last:\n{console.last_lines() or '(nothing)'}",
            "look at its console, and at its log in the folder of vm_console_log_dir on the host",
        ) from None


def _agent(domain: libvirt.virDomain, seconds: float) -> BootProof | None:
    system = agent.heard(domain, "guest-get-osinfo", dict)
    addresses = domains.addresses(domain, WorkerAddressSource.AGENT)
    if system is None or not addresses:
        return None
    name = agent.heard(domain, "guest-get-host-name", dict) or {}
    lines = (
        f"agent: {_said(system, 'pretty-name') or _said(system, 'name') or '?'},"
        f" kernel {_said(system, 'kernel-release') or '?'}",
        f"host name: {_said(name, 'host-name') or '?'}",
        f"addresses: {', '.join(addresses)}",
    )
    return BootProof(evidence=BootEvidence.AGENT, lines=lines, addresses=addresses, seconds=seconds)


def _said(answer: dict[str, Any], key: str) -> str:
    return plain(str(answer.get(key, ""))[:KiB])


def _address(domain: libvirt.virDomain, seconds: float, route: Route) -> BootProof | None:
    addresses = domains.addresses(domain, WorkerAddressSource.LEASE)
    for address in addresses:
        port = _open_port(address, route)
        if port is not None:
            return BootProof(
                evidence=BootEvidence.ADDRESS,
                lines=(f"DHCP lease {address}; TCP port {port} answers",),
                addresses=addresses,
                seconds=seconds,
            )
    return None


def _open_port(address: str, route: Route) -> int | None:
    from_here = next((port for port in PORTS if _listens(address, port)), None)
    if from_here is not None or route.via is None:
        return from_here
    # A login that fails must not end the watch: the next look, or another witness, may do better.
    with contextlib.suppress(ConnectionFailedError), shell.connect_to_host(route.via) as host:
        return next((port for port in PORTS if host.reaches(address, port)), None)
    return None


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except OSError:
        return False


def _console(console: Console, seconds: float) -> BootProof | None:
    if not _LOGIN.search(console.text):
        return None
    return BootProof(
        evidence=BootEvidence.CONSOLE,
        lines=(console.last_lines(3),),
        addresses=(),
        seconds=seconds,
    )
