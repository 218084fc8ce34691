# SPDX-License-Identifier: Apache-2.0
"""Reach the writer service over HTTPS, mutually authenticated."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tradewind.errors import StreamError, WriterError
from tradewind.model.worker import HttpsAccess
from tradewind.private_folders import private_folder
from tradewind.remote.client import Stream
from tradewind.remote.road import Road
from tradewind.streaming.bandwidth import Bandwidth
from tradewind.streaming.writer import UNLIMITED, ServiceWriter, Terms, take


def open_writer(
    access: HttpsAccess,
    serial: str,
    timeout: float = 120.0,
    bandwidth: Bandwidth = UNLIMITED,
    context: Callable[[], ssl.SSLContext] | None = None,
) -> ServiceWriter:
    """Connect to one disk of a writer service.

    `context` gives the access's `client_context`, where connections share one. `timeout` (seconds)
    bounds the connecting and each answer. StreamError when the service cannot be reached,
    WriterError when it is not ours, does not accept us or has no such disk.
    """
    terms = Terms(access.digest_key, bandwidth)
    secured = _secured(access, context or partial(client_context, access), timeout)
    return take(secured, serial, f"{access.address}:{access.port}", terms)


@contextmanager
def _secured(
    access: HttpsAccess, context: Callable[[], ssl.SSLContext], timeout: float
) -> Iterator[Stream]:
    where = f"{access.address}:{access.port}"
    with ExitStack() as stack:
        with _refusals(where, str):
            road = Road(access.via).stream(access.address, access.port, timeout)
            plain = stack.enter_context(road)
        with _refusals(where, plain.complaint):
            secure = context().wrap_socket(plain.connection, server_hostname=access.address)
        stack.callback(secure.close)
        yield Stream(secure, plain.complaint)


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


@contextmanager
def _refusals(where: str, complaint: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise WriterError(
            f"The writer service at {where} is not the one that was started: "
            f"{error.verify_message}",
            "see what answers at this address; the worker's certificate is made for it alone",
        ) from error
    except OSError as error:
        said = complaint()
        # A service that dies closes the connection in the middle of the handshake: no refusal.
        if isinstance(error, ssl.SSLError) and not (said or isinstance(error, ssl.SSLEOFError)):
            raise WriterError(
                f"The writer service at {where} refused TLS: {error.reason}"
            ) from error
        raise StreamError(
            f"The writer service at {where} cannot be reached: {said or error}",
            "see that the controller can reach the worker's network",
        ) from error
