"""The webhook's certificate, and the kubeconfig by which an API server finds and trusts it.

Names and places of the files are the original's: ``cert.pem`` and ``key.pem`` in the state directory, made once and
kept, so that the API server's configuration stays true. Source: aws-iam-authenticator v0.7 ``pkg/config/certs.go``,
``pkg/config/kubeconfig/kubeconfig.go``.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import ipaddress
import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rolecall.authenticator.decision_log import Log
from rolecall.errors import RolecallError
from rolecall.local_files.writing import PRIVATE, UnwritableError, write_file
from rolecall.local_files.yaml_dump import dump_yaml
from rolecall.mapping.backends.server_config import ServerSettings

if TYPE_CHECKING:
    from cryptography import x509

# As the original's: nobody renews it, and an API server whose webhook's certificate has ended lets nobody in.
LIFETIME = timedelta(days=36500)
COMMON_NAME = "aws-iam-authenticator"
# Certificates and addresses are no secrets, and the API server may run as somebody else.
PUBLIC = 0o644
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 -- compared with, never bound to


class CertificateError(RolecallError):
    """A certificate or its key cannot be used."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key."""

    certificate: Path
    key: Path

    def state(self) -> tuple[int, ...]:
        """Changes with the files; empty while one is missing."""
        try:
            found = [os.stat(path) for path in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple(number for one in found for number in (one.st_ino, one.st_size, one.st_mtime_ns))


def certificate_files(settings: ServerSettings) -> CertificateFiles:
    """The given files, or those of the state directory."""
    if settings.tls_cert_file:
        return CertificateFiles(Path(settings.tls_cert_file), Path(settings.tls_key_file))
    folder = Path(settings.state_dir)
    return CertificateFiles(folder / "cert.pem", folder / "key.pem")


def ensure_certificate(settings: ServerSettings, now: datetime, log: Log) -> CertificateFiles:
    """The certificate's files, created if they are not given and do not exist yet."""
    files = certificate_files(settings)
    if settings.tls_cert_file:
        return files
    folder = files.key.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder / ".lock"):
            if not (files.certificate.exists() and files.key.exists()):
                certificate, key = make_certificate(settings.hostname, settings.address, now)
                # The key first: a certificate without its key would be taken for a pair.
                write_file(files.key, key, most=PRIVATE)
                write_file(files.certificate, certificate, mode=PUBLIC)
                log.info("saving new key and certificate", certPath=str(files.certificate), keyPath=str(files.key))
    except (OSError, UnwritableError) as error:
        raise CertificateError(
            f"a certificate cannot be made: {_why(error)}",
            where=str(getattr(error, "filename", None) or folder),
            advice="give a directory that can be written, and in which .lock is not a link: --state-dir DIRECTORY",
        ) from None
    return files


def _why(error: OSError | UnwritableError) -> str:
    what = error.what if isinstance(error, UnwritableError) else error.strerror or str(error)
    return what.removeprefix("cannot be written: ")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two servers that start at once in one directory make one pair.

    A symbolic link is not followed: somebody who may write into the directory could
    have root create a file anywhere.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CertificateError("not a regular file", where=str(path), advice="remove it")
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_certificate(hostname: str, address: str, now: datetime) -> tuple[str, str]:
    """A certificate that signs itself, and its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = {
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "crl_sign": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    names = dict.fromkeys([hostname, "localhost", "127.0.0.1", "::1", *([] if address in WILDCARDS else [address])])
    start = now.astimezone(UTC) - timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def _general_name(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def load_context(files: CertificateFiles) -> ssl.SSLContext:
    """A context to serve with; :class:`CertificateError` if the files are not a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_into(context, files)
    return context


def load_into(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Serve new connections with what the files hold now; a pair that does not fit leaves the context as it was."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise CertificateError(
            f"not a certificate and its key: {reason}",
            where=f"{files.certificate}, {files.key}",
            advice="both as PEM, the key without a password",
        ) from None


def webhook_url(settings: ServerSettings, port: int) -> str:
    """Where an API server finds the webhook: by the hostname, as with the original (``pkg/config/config.go``)."""
    host = settings.hostname
    return f"https://{f'[{host}]' if ':' in host else host}:{port}/authenticate"


def write_kubeconfig(settings: ServerSettings, files: CertificateFiles, port: int, log: Log) -> Path:
    """The file for ``--authentication-token-webhook-config-file``."""
    path = Path(settings.generate_kubeconfig)
    authority = base64.b64encode(files.certificate.read_bytes()).decode()
    text = webhook_kubeconfig(webhook_url(settings, port), authority)
    log.info("writing webhook kubeconfig file", kubeconfigPath=str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text, mode=PUBLIC, streams=True)
    except (OSError, UnwritableError) as error:
        raise CertificateError(
            f"the webhook's kubeconfig cannot be written: {_why(error)}",
            where=str(path),
            advice="name another file: --generate-kubeconfig FILE",
        ) from None
    return path


def webhook_kubeconfig(url: str, authority: str) -> str:
    """The kubeconfig's text; ``authority`` is base64 of PEM."""
    cluster = {"certificate-authority-data": authority, "server": url}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "aws-iam-authenticator", "cluster": cluster}],
        # The user is the API server, which shows nothing of its own.
        "users": [{"name": "apiserver"}],
        "current-context": "webhook",
        "contexts": [{"name": "webhook", "context": {"cluster": "aws-iam-authenticator", "user": "apiserver"}}],
    }
    return dump_yaml(document)
