# SPDX-License-Identifier: Apache-2.0
"""Reach the writer service over HTTPS, mutually authenticated."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tradewind.errors import StreamError, WriterError
from tradewind.model.host import HttpsAccess
from tradewind.private_folders import private_folder
from tradewind.remote.client import Stream
from tradewind.remote.route import Route
from tradewind.streaming.bandwidth import Bandwidth
from tradewind.streaming.writer import UNLIMITED, ServiceWriter, StreamTerms, take
from tradewind.waiting import attempts

# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (openssl/x509_vfy.h)
_OUT_OF_TIME: Final = frozenset({9, 10})

# In a crowd of strangers the service drops clients that have not proven themselves yet.
_ATTEMPTS: Final = 6
_PAUSE: Final = 0.1
_CUT_OFF: Final = (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)


def open_writer(
    access: HttpsAccess,
    serial: str,
    timeout: float = 120.0,
    bandwidth: Bandwidth = UNLIMITED,
    context: Callable[[], ssl.SSLContext] | None = None,
) -> ServiceWriter:
    """Connect to one disk of a writer service.

    `context` gives the access's `client_context`, where connections share one. `timeout` (seconds)
    bounds the connecting and each answer. Who is cut off before the first answer tries again.
    StreamError when the service cannot be reached, WriterError when it is not ours, does not accept
    us or has no such disk.
    """
    terms = StreamTerms(access.digest_key, bandwidth)
    for attempt in attempts(_ATTEMPTS, _PAUSE, again=_was_cut_off):
        with attempt:
            secured = _secured(access, context or partial(client_context, access), timeout)
            writer = take(secured, serial, f"{access.address}:{access.port}", terms)
    return writer


def _was_cut_off(error: BaseException) -> bool:
    return isinstance(error, StreamError) and isinstance(error.__cause__, _CUT_OFF)


@contextmanager
def _secured(
    access: HttpsAccess, context: Callable[[], ssl.SSLContext], timeout: float
) -> Iterator[Stream]:
    where = f"{access.address}:{access.port}"
    with ExitStack() as stack:
        # Made before: who says nothing for long is the first to be dropped in a crowd.
        proof = context()
        with _refusals(where, str):
            route = Route(access.via).stream(access.address, access.port, timeout)
            plain = stack.enter_context(route)
        with _refusals(where, plain.client_error):
            secure = proof.wrap_socket(plain.connection, server_hostname=access.address)
        stack.callback(secure.close)
        yield Stream(secure, plain.client_error)


def client_context(access: HttpsAccess) -> ssl.SSLContext:
    """Trust the worker's own authority and nothing else, and show our certificate.

    It takes 4 ms to make and may be shared by threads.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=access.ca_certificate)
    # The ssl module takes a private key from a file only.
    with private_folder() as folder:
        path = folder / "client.pem"
        path.touch(mode=0o600)
        path.write_text(access.client_certificate + access.client_key.get_secret_value())
        context.load_cert_chain(path)
    return context


def _not_trusted(where: str, error: ssl.SSLCertVerificationError) -> WriterError:
    if error.verify_code in _OUT_OF_TIME:
        return WriterError(
            f"The certificate of the writer service at {where} is not valid at this machine's"
            f" time, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {error.verify_message}",
            "set the clock of this machine, and run the transfer again",
        )
    return WriterError(
        f"The writer service at {where} is not the one that was started: {error.verify_message}",
        "see what answers at this address; the worker's certificate is made for it alone",
    )


@contextmanager
def _refusals(where: str, client_error: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise _not_trusted(where, error) from error
    except OSError as error:
        said = client_error()
        # A service that dies closes the connection in the middle of the handshake: no refusal.
        if isinstance(error, ssl.SSLError) and not (said or isinstance(error, ssl.SSLEOFError)):
            raise WriterError(
                f"The writer service at {where} refused TLS: {error.reason}"
            ) from error
        raise StreamError(
            f"The writer service at {where} cannot be reached: {said or error}",
            "see that the controller can reach the worker's network",
        ) from error
