"""A cluster's own CA and its serving certificate, created once and kept in the cluster's folder.

Newer Python and Go clients refuse a CA without basic constraints and key usage (RFC 5280). Key identifiers are another
matter: EKS clusters that were first created on Kubernetes 1.17 or earlier have none.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rolecall.local_files.private import write_private

VALIDITY = timedelta(days=3650)
DNS_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


class Authority:
    """A new certificate authority with its key in memory alone, so that nothing can be signed with it later.

    :param old: without key identifiers, as the authorities of old EKS clusters are.
    """

    def __init__(self, now: datetime, *, old: bool = False) -> None:
        self._old = old
        self._start, self._end = now.astimezone(UTC) - timedelta(minutes=5), now.astimezone(UTC) + VALIDITY
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name("kubernetes")
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, name: str) -> str:
        """A key and a certificate for a server on the loopback interface, with their chain, as PEM."""
        names = [x509.DNSName(one) for one in DNS_NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
        alternatives = x509.SubjectAlternativeName([*names, *addresses])
        return self._issue(_common_name(name), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str, group: str) -> str:
        """A key and a certificate by which a Kubernetes API server knows this user in this group."""
        attributes = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
        return self._issue(x509.Name(attributes), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self, subject: x509.Name, purpose: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None = None
    ) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode() + self.pem

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), number, self._start, self._end)
        if self._old:
            return builder
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return builder.add_extension(own, critical=False).add_extension(self._identifier, critical=False)


def ensure_certificates(folder: Path, now: datetime, *, old_ca: bool = False) -> tuple[str, ssl.SSLContext]:
    """The CA as PEM text and the context to serve with; created if they are not there yet.

    :param old_ca: whether a new CA has no key identifiers.
    """
    ca_file, serving_file = folder / "ca.pem", folder / "serving.pem"
    if not (ca_file.exists() and serving_file.exists()):
        authority = Authority(now, old=old_ca)
        write_private(serving_file, authority.server("kube-apiserver"))
        write_private(ca_file, authority.pem)
    return ca_file.read_text(), serving_context(serving_file)


def serving_context(serving_file: Path) -> ssl.SSLContext:
    """How the lab's own servers speak TLS with a key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(serving_file)
    # kubectl would speak HTTP/2 if it were offered; HTTP/1.1 is what the server speaks.
    context.set_alpn_protocols(["http/1.1"])
    return context


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
