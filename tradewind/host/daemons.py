# SPDX-License-Identifier: Apache-2.0
"""Libvirt's daemons on a host: which one cannot be reached, and what to do about it.

A host has libvirtd, or a daemon for each driver (https://libvirt.org/daemons.html). A client comes
by the socket of one, over SSH through virt-ssh-helper or netcat (https://libvirt.org/uri.html).
"""

import errno
import re
from typing import Final

import libvirt

from tradewind.errors import AccessRefusedError, HypervisorError, TradewindError
from tradewind.ports import Remote
from tradewind.shell_programs import program

ACCOUNT: Final = "the account must be in the groups libvirt and kvm"

_LOOK: Final = program(__file__, "libvirt_access.sh")
_SOCKETS: Final = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
_START: Final = (
    "start it as root: systemctl enable --now libvirtd.socket; where each driver has a daemon of"
    " its own: virtqemud.socket virtstoraged.socket virtnetworkd.socket virtnodedevd.socket"
)
_ABSENT: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
# The path is no part of a sentence, so that no translation changes it. It only names the daemon.
_SOCKET_PATH: Final = re.compile(r"/(virt[a-z]+d|libvirt)-sock(?:-ro)?\b")


def is_absent(error: libvirt.libvirtError) -> bool:
    """Whether a daemon's socket is not there, or nobody listens at it."""
    return _is_of_a_socket(error) and error.get_int1() in _ABSENT


def refusal(error: libvirt.libvirtError, text: str) -> TradewindError | None:
    """Return what a socket that cannot be connected to means; None when it is something else.

    No such error passes with time.
    """
    if not _is_of_a_socket(error):
        return None
    if error.get_int1() in _REFUSED:
        return AccessRefusedError(text, ACCOUNT)
    if error.get_int1() in _ABSENT:
        return HypervisorError(text, _remedy(error.get_error_message() or ""))
    return None


def _is_of_a_socket(error: libvirt.libvirtError) -> bool:
    """Libvirt's RPC code sends the errno of connect(2) along (virNetSocketNewConnectUNIX)."""
    code, domain = error.get_error_code(), error.get_error_domain()
    return (code, domain) == (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC)


def _remedy(message: str) -> str:
    found = _SOCKET_PATH.search(message)
    if found is None or found[1] == "libvirt":
        return _START
    return f"start it as root: systemctl enable --now {found[1]}.socket"


def require_access(remote: Remote, host: str) -> None:
    """Raise what keeps an account of a host from its libvirt, if it is one of the usual things.

    Over SSH libvirt's client hears no code of it, only what virt-ssh-helper says in words.
    """
    looked = remote.run(["sh", "-c", _LOOK, "sh", *_SOCKETS], check=False).stdout
    found = [line.partition(" ")[0] for line in looked.splitlines()]
    if "looked" not in found or "open" in found:
        return
    if "helper" not in found:
        raise HypervisorError(
            f"{host} has neither virt-ssh-helper nor nc, by which libvirt is reached over SSH",
            "install the host's package of libvirt's daemon, or netcat (netcat-openbsd) where"
            " libvirt is older than 6.8",
        )
    if "closed" in found:
        raise AccessRefusedError(f"{host}: libvirt's socket is closed to this account", ACCOUNT)
    raise HypervisorError(f"{host}: no daemon of libvirt listens there", _START)
