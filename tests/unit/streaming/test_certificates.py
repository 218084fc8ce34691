# SPDX-License-Identifier: Apache-2.0
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.fakes.writer_process import access_with, running_writer
from tradewind.errors import WriterError
from tradewind.streaming import certificates as certificates_module
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import WriterCertificates, make_certificates
from tradewind.streaming.over_https import client_context, open_writer


@pytest.fixture(scope="module")
def certificates() -> WriterCertificates:
    return make_certificates("198.18.1.2", "worker-1")


def server_context(certificates: WriterCertificates, folder: Path) -> ssl.SSLContext:
    paths = {}
    for name, text in (
        ("certificate", certificates.server_certificate),
        ("key", certificates.server_key.get_secret_value()),
        ("ca", certificates.ca_certificate),
    ):
        paths[name] = str(folder / name)
        (folder / name).write_text(text)
    return writer_service.tls_context(paths)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    """Connect both ends and send five bytes from the server; raises what the client sees."""
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as connection:
                connection.sendall(b"hello")
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as connection:
            return connection.recv(5)
    finally:
        near.close()
        thread.join(5)


def test_both_ends_accept_each_other(certificates: WriterCertificates, tmp_path: Path) -> None:
    client = client_context(access_with(certificates, 1))
    assert shake_hands(server_context(certificates, tmp_path), client, "198.18.1.2") == b"hello"


def test_another_address_is_refused(certificates: WriterCertificates, tmp_path: Path) -> None:
    client = client_context(access_with(certificates, 1))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(certificates, tmp_path), client, "198.18.1.3")


def test_the_authority_of_another_worker_is_refused(
    certificates: WriterCertificates, tmp_path: Path
) -> None:
    client = client_context(access_with(make_certificates("198.18.1.2", "worker-1"), 1))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(certificates, tmp_path), client, "198.18.1.2")


def test_valid_at_whatever_time_either_end_takes_it_to_be(
    certificates: WriterCertificates,
) -> None:
    for text in (
        certificates.ca_certificate,
        certificates.server_certificate,
        certificates.client_certificate,
    ):
        certificate = x509.load_pem_x509_certificate(text.encode())
        # A host without a battery starts at the epoch; RFC 5280 says what "no end" looks like.
        assert certificate.not_valid_before_utc == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        assert certificate.not_valid_after_utc == dt.datetime.max.replace(
            microsecond=0, tzinfo=dt.UTC
        )


YEAR = dt.timedelta(days=365)


def out_of_time(
    monkeypatch: pytest.MonkeyPatch, begin: dt.timedelta, end: dt.timedelta, *, whose: str
) -> WriterCertificates:
    """Make certificates of which one end's is only valid between two distances from now."""
    real = certificates_module._leaf

    def leaf(*arguments: Any) -> x509.CertificateBuilder:
        with pytest.MonkeyPatch.context() as patch:
            if arguments[2] == whose:
                patch.setattr(certificates_module, "_VALID_FROM", dt.datetime.now(dt.UTC) + begin)
                patch.setattr(certificates_module, "_VALID_UNTIL", dt.datetime.now(dt.UTC) + end)
            return real(*arguments)

    monkeypatch.setattr(certificates_module, "_leaf", leaf)
    return make_certificates("127.0.0.1", "worker-1")


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (-2 * YEAR, -YEAR, "by the worker's clock our certificate"),
        (YEAR, 2 * YEAR, "not valid yet"),
    ],
)
def test_a_worker_whose_clock_refuses_us_is_not_said_to_be_another(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    begin: dt.timedelta,
    end: dt.timedelta,
    said: str,
) -> None:
    made = out_of_time(monkeypatch, begin, end, whose="controller")
    with (
        running_writer(tmp_path, {}, certificates=made) as service,
        pytest.raises(WriterError, match=said) as caught,
    ):
        open_writer(service.access, "one")
    assert "clock of its host" in caught.value.hint


@pytest.mark.parametrize(("begin", "end"), [(-2 * YEAR, -YEAR), (YEAR, 2 * YEAR)])
def test_a_service_out_of_our_time_is_not_said_to_be_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, begin: dt.timedelta, end: dt.timedelta
) -> None:
    made = out_of_time(monkeypatch, begin, end, whose="writer")
    with (
        running_writer(tmp_path, {}, certificates=made) as service,
        pytest.raises(WriterError, match="not valid at this machine's time") as caught,
    ):
        open_writer(service.access, "one")
    assert "clock of this machine" in caught.value.hint


def test_the_server_is_named_by_its_address(certificates: WriterCertificates) -> None:
    certificate = x509.load_pem_x509_certificate(certificates.server_certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("198.18.1.2")]


def test_keys_do_not_show(certificates: WriterCertificates) -> None:
    assert "PRIVATE" not in repr(certificates)
    assert "PRIVATE" not in certificates.model_dump_json()


def test_no_key_is_left_in_a_file(
    certificates: WriterCertificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client_context(access_with(certificates, 1))
    assert list(tmp_path.iterdir()) == []
