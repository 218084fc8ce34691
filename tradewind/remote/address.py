# SPDX-License-Identifier: Apache-2.0
"""Where a host is, in the forms in which people write it down."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote, urlsplit

from tradewind.errors import OptionError

_SCHEMES: Final = frozenset({"ssh", "qemu+ssh", "qemu+libssh", "qemu+libssh2"})
# RFC 1123, section 2.1, and the underscore that people use all the same. Nothing that begins with a
# hyphen: a client would take it for an option.
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_LONGEST_SHOWN: Final = 80
_FORMS: Final = "write it as a name, an IPv4 or IPv6 address, HOST:PORT, USER@HOST or qemu+ssh://…"


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A host's name or address without brackets, and what was written beside it."""

    host: str
    port: int | None = None
    username: str | None = None
    libvirt_path: str | None = None


def parse_address(text: str) -> HostAddress:
    """Read `host`, `host:port`, `user@host`, `[IPv6]:port` or a URI of libvirt over SSH.

    OptionError names what is wrong. Format of the URI: https://libvirt.org/uri.html.
    """
    written = text.strip()
    if "://" in written:
        return _of_uri(written)
    username, at, rest = written.rpartition("@")
    host, port = _split_port(rest, written)
    return HostAddress(_checked(host, written), port, username if at and username else None)


def bracketed(host: str) -> str:
    """Write a host as a URI does: an IPv6 address in brackets, its zone escaped (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def _of_uri(text: str) -> HostAddress:
    try:
        uri = urlsplit(text)
        host, port = uri.hostname or "", uri.port
    except ValueError:
        raise OptionError(f"{_shown(text)} is no URI that can be read", _FORMS) from None
    if uri.scheme not in _SCHEMES:
        raise OptionError(f"{_shown(text)} is no URI of libvirt over SSH", _FORMS)
    if uri.password is not None:
        raise OptionError(
            "the host's URI has a password in it", "leave it out: hosts are reached by a key"
        )
    if uri.query or uri.fragment:
        raise OptionError(
            "the host's URI has parameters, which are not used",
            "leave out what follows “?”: the key and the host key have fields of their own",
        )
    return HostAddress(
        _checked(unquote(host), text),
        port,
        unquote(uri.username) if uri.username else None,
        uri.path.strip("/") or None,
    )


def _split_port(text: str, written: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, end, port = text[1:].partition("]")
        if not end or (port and not port.startswith(":")):
            raise OptionError(f"{_shown(written)} is no address that can be read", _FORMS)
        return host, _port(port[1:], written) if port else None
    if text.count(":") != 1:
        return text, None  # a name, or an IPv6 address without brackets
    host, _, port = text.partition(":")
    return host, _port(port, written)


def _port(text: str, written: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 0 < number < 65536:
        raise OptionError(
            f"{_shown(written)} has no port behind its colon", "a port is a number up to 65535"
        )
    return number


def _checked(host: str, written: str) -> str:
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise OptionError(f"{_shown(written)} is no IPv6 address", _FORMS) from None
        return host
    if not _NAME.fullmatch(host):
        raise OptionError(f"{_shown(written)} is no name or address of a host", _FORMS)
    return host


def _shown(text: str) -> str:
    """Quote what was written, unless it is so long that it may be a key in the wrong field."""
    return f"“{text}”" if len(text) <= _LONGEST_SHOWN and text.isprintable() else "the host"
