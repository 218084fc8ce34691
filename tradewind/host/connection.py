# SPDX-License-Identifier: Apache-2.0
"""Open libvirt over SSH, and translate what it says when it refuses (the only place that does)."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import libvirt

from tradewind.errors import (
    AccessRefusedError,
    BusyError,
    CapacityError,
    ConnectionFailedError,
    HypervisorBusyError,
    HypervisorError,
    NotFoundError,
    TradewindError,
)
from tradewind.host import daemons
from tradewind.host.daemons import ACCOUNT
from tradewind.host.refusals import is_out_of_space
from tradewind.model.host import HostAccess
from tradewind.remote import shell
from tradewind.remote.address import bracketed
from tradewind.remote.client import client_files

# What `connect` lends, for those who only hand it on.
Connection = libvirt.virConnect

# Seconds between keep-alive messages, and how many may stay unanswered: a host that vanished is
# noticed after half a minute instead of never.
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 6

_BUSY = "another job works on the same object; it is tried again"

# What libvirt's codes (libvirt/virterror.h) mean in our tree, and what to do.
_KINDS: dict[int, tuple[type[TradewindError], str]] = {
    libvirt.VIR_ERR_NO_DOMAIN: (NotFoundError, ""),
    libvirt.VIR_ERR_NO_STORAGE_POOL: (NotFoundError, ""),
    libvirt.VIR_ERR_NO_STORAGE_VOL: (NotFoundError, ""),
    libvirt.VIR_ERR_NO_NETWORK: (NotFoundError, ""),
    libvirt.VIR_ERR_OPERATION_TIMEOUT: (HypervisorBusyError, _BUSY),
    libvirt.VIR_ERR_RESOURCE_BUSY: (HypervisorBusyError, _BUSY),
    libvirt.VIR_ERR_AUTH_FAILED: (AccessRefusedError, ACCOUNT),
    libvirt.VIR_ERR_AUTH_CANCELLED: (AccessRefusedError, ACCOUNT),
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: (AccessRefusedError, ACCOUNT),
    libvirt.VIR_ERR_ACCESS_DENIED: (AccessRefusedError, ACCOUNT),
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: (
        BusyError,
        "remove the volume, or run the sweep if a crash left it",
    ),
}
_CONNECTION = {
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_SYSTEM_ERROR,
}
_CONNECTION_DOMAINS = {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_NONE}


def translate(error: libvirt.libvirtError, host: str) -> TradewindError:
    """Say a libvirt error in our own tree, with the host's name and a remedy where one is known."""
    code = error.get_error_code()
    text = f"{host}: {error.get_error_message() or error}"
    if is_out_of_space(error):
        return CapacityError(text, "make room in the pool, or map the disk to another one")
    of_a_socket = daemons.refusal(error, text)
    if of_a_socket is not None:
        return of_a_socket
    if code in _CONNECTION and error.get_error_domain() in _CONNECTION_DOMAINS:
        return ConnectionFailedError(text, "see that the host and its libvirt daemon run")
    kind, hint = _KINDS.get(code, (HypervisorError, ""))
    return kind(text, hint)


def _with_notes(translated: TradewindError, error: BaseException) -> TradewindError:
    for note in getattr(error, "__notes__", ()):
        translated.add_note(note)
    return translated


@functools.cache
def _start_event_loop() -> threading.Thread:
    """Run libvirt's event loop once in this process: keep-alive needs it."""
    libvirt.virEventRegisterDefaultImpl()
    # libvirt prints every error to stderr unless it is told not to.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)

    def turn() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    thread = threading.Thread(target=turn, name="libvirt-events", daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def connect(access: HostAccess) -> Iterator[libvirt.virConnect]:
    """Lend a libvirt connection; the private key lies in a private folder meanwhile.

    Every libvirtError that leaves the block is translated. When the connection cannot be made,
    a plain SSH connection is tried, because that says why: no route, wrong host key, wrong key.
    """
    _start_event_loop()
    with client_files(access) as files:
        try:
            connection = libvirt.open(_uri(access, str(files.ssh)))
        except libvirt.libvirtError as error:
            _diagnose(access)
            raise translate(error, access.host) from None
        try:
            connection.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
            yield connection
        except libvirt.libvirtError as error:
            raise _with_notes(translate(error, access.host), error) from error
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()


def _uri(access: HostAccess, ssh: str) -> str:
    # Format: https://libvirt.org/uri.html#ssh-transport; `command` is our wrapper, since the ssh
    # transport has no parameter of its own for a known_hosts file.
    query = urlencode({"command": ssh, "no_tty": "1"})
    user = quote(access.username, safe="")
    host = bracketed(access.host)
    return f"qemu+ssh://{user}@{host}:{access.port}/{access.libvirt_path}?{query}"


def _diagnose(access: HostAccess) -> None:
    """Raise the reason why SSH itself does not work, or what bars the account from libvirt."""
    with shell.connect_to_host(access) as host:
        daemons.require_access(host, access.host)
