# SPDX-License-Identifier: Apache-2.0
"""Dial a host and let it prove its host key, before anything is said about who we are."""

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from tradewind.errors import ConnectionFailedError, HostKeyError, UnreachableError
from tradewind.remote.hostkey import KEY_TYPES, PinnedKey, PublicKey, algorithms, refusal

# Seconds between messages that keep firewalls from forgetting the connection, and after which an
# unanswered one ends it.
KEEPALIVE: Final = 10
UNANSWERED: Final = 40

# GCM needs no second pass for a MAC; the rest is paramiko's own order.
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")

# Lends a connected socket to an address and port within that many seconds, or raises
# ConnectionFailedError.
ConnectTcp = Callable[[str, int, float], AbstractContextManager[socket.socket]]

# Where this process was answered. A host that is away from there may come back, with what it was
# lent; one that never answered is down or misnamed, and nothing of ours is on it yet.
_answered: Final[set[tuple[str, int]]] = set()

logging.getLogger("paramiko").setLevel(logging.WARNING)
# Whatever the transport logs it also raises; a host that is still booting would fill the log with
# stack traces.
logging.getLogger("paramiko.transport").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def directly(address: str, port: int, timeout: float) -> Iterator[socket.socket]:
    """Lend a TCP connection of our own; the plainest `Dial`.

    UnreachableError where this process was never answered, else ConnectionFailedError.
    """
    try:
        connection = socket.create_connection((address, port), timeout)
    except (OSError, UnicodeError) as error:
        # UnicodeError: a host name that cannot be encoded for DNS.
        kind = ConnectionFailedError if (address, port) in _answered else UnreachableError
        raise kind(*_reason(f"{address}:{port}", error)) from None
    _answered.add((address, port))
    with contextlib.closing(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED * 1000)
        yield connection


@contextlib.contextmanager
def proven(
    address: str, port: int, pinned_text: str, timeout: float, connect_tcp: ConnectTcp = directly
) -> Iterator[paramiko.Transport]:
    """Lend a connection to a host that proved the pinned key; nobody is logged in yet.

    ConnectionFailedError when it cannot be reached within `timeout` seconds, HostKeyError when it
    shows another key (or none is pinned).
    """
    deadline = time.monotonic() + timeout
    if not pinned_text.strip():
        raise refusal(address, port, "", next(_offers(address, port, timeout, connect_tcp), None))
    pinned = PinnedKey.parse(pinned_text, address)
    if pinned.key is None:
        key_line = resolve_host_key(address, port, pinned_text, timeout, connect_tcp)
        pinned = PinnedKey.parse(key_line, address)
    with _negotiated(address, port, pinned.algorithms, deadline, connect_tcp) as transport:
        offered = _shown(transport)
        if offered is None:
            other = next(_offers(address, port, timeout, connect_tcp), None)
            raise refusal(address, port, pinned.fingerprint, other)
        if not pinned.matches(offered):
            raise refusal(address, port, pinned.fingerprint, offered)
        yield transport


def offered_host_key(address: str, port: int = 22, timeout: float = 15) -> str:
    """Ask a host for its preferred host key, as "type base64"; nothing is trusted by that."""
    key = next(_offers(address, port, timeout), None)
    if key is None:
        raise refusal(address, port, "", None)
    return key.line


def offered_host_keys(address: str, port: int = 22, timeout: float = 15) -> tuple[PublicKey, ...]:
    """Ask a host for all of its host keys, one connection for each type."""
    return tuple(_offers(address, port, timeout))


def resolve_host_key(
    address: str,
    port: int,
    pinned_text: str,
    timeout: float = 15,
    connect_tcp: ConnectTcp = directly,
) -> str:
    """Turn what is pinned into "type base64"; a fingerprint is compared with what is offered."""
    pinned = PinnedKey.parse(pinned_text, address) if pinned_text.strip() else None
    if pinned is not None and pinned.key is not None:
        return pinned.key.line
    preferred = None
    for key in _offers(address, port, timeout, connect_tcp):
        preferred = preferred or key
        if pinned is not None and pinned.matches(key):
            return key.line
    raise refusal(address, port, pinned.fingerprint if pinned else "", preferred)


def answers(
    address: str,
    port: int,
    pinned_text: str,
    timeout: float = 5,
    connect_tcp: ConnectTcp = directly,
) -> bool:
    """Whether an SSH server with the pinned key answers there within `timeout` seconds."""
    try:
        with proven(address, port, pinned_text, timeout, connect_tcp):
            return True
    except (ConnectionFailedError, HostKeyError):
        return False


@contextlib.contextmanager
def _negotiated(
    address: str, port: int, key_types: Sequence[str], deadline: float, connect_tcp: ConnectTcp
) -> Iterator[paramiko.Transport]:
    """Lend a transport after key exchange; `_shown` is None when no key of these types exists."""
    with connect_tcp(address, port, max(0.1, deadline - time.monotonic())) as connection:
        transport = paramiko.Transport(connection)
        try:
            options = transport.get_security_options()
            options.key_types = tuple(key_types)
            options.ciphers = _CIPHERS
            _exchange_keys(transport, f"{address}:{port}", deadline)
            yield transport
        finally:
            transport.close()


def _exchange_keys(transport: paramiko.Transport, where: str, deadline: float) -> None:
    remaining = max(0.1, deadline - time.monotonic())
    transport.banner_timeout = transport.handshake_timeout = remaining
    done = threading.Event()
    transport.start_client(event=done)
    # start_client(timeout=…) returns as if all were well when the time is over: wait here.
    in_time = done.wait(remaining)
    error = transport.get_exception()
    if isinstance(error, IncompatiblePeer) and "host key" in str(error):
        return
    if error is not None or not in_time or not transport.is_active():
        reason = str(error) if error is not None else "no SSH greeting in time"
        raise ConnectionFailedError(
            f"{where} answers, but does not complete an SSH handshake: {reason or 'it hung up'}",
            "see that an SSH server listens there, and that it is not limiting connections",
        )
    transport.set_keepalive(KEEPALIVE)


def _shown(transport: paramiko.Transport) -> PublicKey | None:
    if transport.host_key is None or not transport.is_active():
        return None
    return PublicKey(transport.host_key.get_name(), transport.host_key.get_base64())


def _offers(
    address: str, port: int, timeout: float, connect_tcp: ConnectTcp = directly
) -> Iterator[PublicKey]:
    for key_type in KEY_TYPES:
        deadline = time.monotonic() + timeout
        with _negotiated(address, port, algorithms(key_type), deadline, connect_tcp) as transport:
            key = _shown(transport)
        if key is not None:
            yield key


def _reason(where: str, error: OSError | UnicodeError) -> tuple[str, str]:
    """Say why nothing answers there, and what to do."""
    host = where.rpartition(":")[0]
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"{where}: the name {host} cannot be resolved", "check the spelling and the DNS"
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{where}: nothing listens there (connection refused)",
            "start the SSH server, or correct the port",
        )
    if isinstance(error, TimeoutError):
        return (
            f"{where}: no answer in time",
            "see that the host is up and no firewall drops port",
        )
    if error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return f"{where}: no route to the host", "check the address, the network and the host"
    return f"{where}: {error.strerror or error}", "see that the host is up"
