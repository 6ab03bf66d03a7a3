"""How rolecall, as a client, checks a server's certificate: chain, host and dates, on every Python the same.

Python 3.13 also demands what RFC 5280 says of a certificate's extensions (``ssl.VERIFY_X509_STRICT``; "What's new in
Python 3.13", ssl). Authorities that are in use do not meet that: those of EKS clusters that were first created on
Kubernetes 1.17 or earlier have no key identifiers (aws/containers-roadmap issue 2638), and those of many companies'
proxies are like them. kubectl and the AWS CLI accept them.
"""

from __future__ import annotations

import os
import ssl


def authorities_for_botocore(chosen: str = "") -> str:
    """The file of authorities that botocore should use; empty for its own.

    OpenSSL's variable ``SSL_CERT_FILE`` applies to every call that rolecall makes itself. botocore has authorities of
    its own and does not read the variable.

    :param chosen: the file that botocore's own settings name.
    """
    return chosen or os.environ.get("SSL_CERT_FILE", "")


def client_context(
    *,
    cafile: str | os.PathLike[str] | None = None,
    capath: str | os.PathLike[str] | None = None,
    cadata: str | None = None,
) -> ssl.SSLContext:
    """A context that trusts these authorities, or the system's if none are given.

    :raises OSError: if the authorities cannot be read (``ssl.SSLError`` is one)
    :raises ValueError: if ``cadata`` is not PEM
    """
    context = ssl.create_default_context(cafile=cafile, capath=capath, cadata=cadata)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
