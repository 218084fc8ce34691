# SPDX-License-Identifier: Apache-2.0
"""Certificates for one worker: an authority that signs twice and is forgotten. Pure."""

import datetime as dt
import ipaddress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

from tradewind.model.record import Record

# What ends these certificates is that their authority's key is forgotten and their worker thrown
# away. A date would only end long transfers (1 TB at 50 Mbit/s takes 44 hours), and refuse workers
# whose clock is wrong: a host without a battery begins at the epoch. RFC 5280, section 4.1.2.5,
# has the last date for certificates without one.
_VALID_FROM: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_VALID_UNTIL: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


class WriterCertificates(Record):
    """Both ends of mutual TLS, as PEM texts; the authority's own key is kept nowhere."""

    ca_certificate: str
    server_certificate: str
    server_key: SecretStr
    client_certificate: str
    client_key: SecretStr


def make_certificates(address: str, name: str) -> WriterCertificates:
    """Make an authority, a server certificate for an IP address, and a client certificate.

    `name` says in the certificates which worker they are for. EC P-256, valid whatever time either
    end takes it to be. Each end accepts nothing that another authority signed, and neither end's
    certificate is good for the other role.
    """
    ca_key = _new_key()
    ca_name = _common_name(f"Tradewind {name}"[:64])
    ca = _sign(_authority(_draft(ca_name, ca_name, ca_key), ca_key), ca_key)
    server_key, client_key = _new_key(), _new_key()
    server = _leaf(ca, server_key, "writer", ExtendedKeyUsageOID.SERVER_AUTH).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
        critical=False,
    )
    client = _leaf(ca, client_key, "controller", ExtendedKeyUsageOID.CLIENT_AUTH)
    return WriterCertificates(
        ca_certificate=_pem(ca),
        server_certificate=_pem(_sign(server, ca_key)),
        server_key=_key_pem(server_key),
        client_certificate=_pem(_sign(client, ca_key)),
        client_key=_key_pem(client_key),
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(
    draft: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        draft.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )


def _leaf(
    ca: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    name: str,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    issuer_key = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _draft(_common_name(name), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
            critical=False,
        )
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(draft: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return draft.sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> SecretStr:
    return SecretStr(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )
