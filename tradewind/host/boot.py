# SPDX-License-Identifier: Apache-2.0
"""Watch a machine until it proves that it booted."""

import re
import socket
import time
from typing import Final

import libvirt

from tradewind.errors import LateError
from tradewind.host import domains
from tradewind.host.console import Console
from tradewind.model.report import BootEvidence, BootProof
from tradewind.model.worker import WorkerAddressSource
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
) -> BootProof:
    """Wait for the guest agent, else an address with an open port, else a login prompt.

    LateError after `timeout` seconds, with what the console said last.
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
            found = _address(domain, seconds) or _console(console, seconds)
            if found is not None:
                weaker.append((seconds, found))
        settled = weaker and (not agent_expected or seconds - weaker[0][0] > PATIENCE)
        return weaker[0][1] if settled else None

    try:
        return wait_for(look, f"machine {name} proves that it booted", timeout, every=2)
    except LateError as error:
        if weaker:
            return weaker[0][1]
        raise LateError(
            f"{error.message}; its console said last:\n{console.last_lines() or '(nothing)'}",
            "look at its console, and at its log in the folder of vm_console_log_dir on the host",
        ) from None


def _agent(domain: libvirt.virDomain, seconds: float) -> BootProof | None:
    system = domains.ask_agent(domain, "guest-get-osinfo")
    addresses = domains.addresses(domain, WorkerAddressSource.AGENT)
    if system is None or not addresses:
        return None
    name = domains.ask_agent(domain, "guest-get-host-name") or {}
    lines = (
        f"agent: {system.get('pretty-name', system.get('name', '?'))},"
        f" kernel {system.get('kernel-release', '?')}",
        f"host name: {name.get('host-name', '?')}",
        f"addresses: {', '.join(addresses)}",
    )
    return BootProof(evidence=BootEvidence.AGENT, lines=lines, addresses=addresses, seconds=seconds)


def _address(domain: libvirt.virDomain, seconds: float) -> BootProof | None:
    addresses = domains.addresses(domain, WorkerAddressSource.LEASE)
    for address in addresses:
        for port in PORTS:
            if _listens(address, port):
                lines = (f"DHCP lease {address}; TCP port {port} answers",)
                return BootProof(
                    evidence=BootEvidence.ADDRESS,
                    lines=lines,
                    addresses=addresses,
                    seconds=seconds,
                )
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
