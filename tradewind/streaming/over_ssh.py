# SPDX-License-Identifier: Apache-2.0
"""Reach the writer service over SSH: one login, and one process of the service, a connection."""

from tradewind.model.host import SshAccess
from tradewind.remote.route import Route
from tradewind.streaming.bandwidth import Bandwidth
from tradewind.streaming.writer import UNLIMITED, ServiceWriter, StreamTerms, take


def open_writer(
    access: SshAccess,
    serial: str,
    timeout: float = 120.0,
    bandwidth: Bandwidth = UNLIMITED,
) -> ServiceWriter:
    """Connect to one disk of a worker.

    `timeout` (seconds) bounds the login and each answer. StreamError says what the SSH client
    said when the worker cannot be reached, WriterError that it has no such disk.
    """
    login = access.worker.login
    stream = Route(access.worker.via).command(login, access.command, timeout)
    terms = StreamTerms(access.digest_key, bandwidth)
    return take(stream, serial, f"{login.host} over SSH", terms)
