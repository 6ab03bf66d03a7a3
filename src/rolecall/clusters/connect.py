"""Connect to a cluster: by a context of a kubeconfig, or by what EKS says of it and AWS credentials.

A connection is safe to share by threads and leaves nothing in the process: no environment, no global state. Nothing is
sent before the first request.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.models.authentication_v1 import SelfSubjectReview as ReviewModel
from lightkube.resources.authentication_v1 import SelfSubjectReview

from rolecall.clusters.decoders import prepare_decoders
from rolecall.clusters.errors import ClusterError, explained
from rolecall.clusters.exec_credentials import TokenSource, minted_tokens
from rolecall.clusters.kubeconfig import read_context
from rolecall.clusters.transport import TIMEOUT, Endpoint, KubernetesTransport, utc_now
from rolecall.model import KubernetesUser
from rolecall.sigv4.request import Credentials

FIELD_MANAGER = "rolecall"
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster that can be asked.

    :param name: what people call it in messages: the context, or the cluster's name.
    :param client: lightkube's; it raises its own errors, which :func:`rolecall.clusters.errors.explained` translates.
    """

    name: str
    client: Client

    def close(self) -> None:
        """Close its sockets."""
        self.client._client.close()  # type: ignore[no-untyped-call]  # lightkube's own client has no close


def connect(name: str, endpoint: Endpoint, tokens: TokenSource | None) -> Connection:
    """A connection to ``endpoint`` with the tokens of ``tokens``."""
    prepare_decoders()
    certificate = base64.b64encode(endpoint.ca_pem.encode()).decode() if endpoint.ca_pem else None
    # TLS and tokens are the transport's; lightkube is given the authority too, so that it could not trust another.
    config = KubeConfig.from_one(
        cluster=Cluster(server=endpoint.server, certificate_auth_data=certificate), user=User()
    )
    client = Client(
        config,
        timeout=TIMEOUT,
        trust_env=False,
        transport=KubernetesTransport(endpoint, tokens),
        field_manager=FIELD_MANAGER,
    )
    return Connection(name, client)


def connect_context(
    context: str = "", paths: Sequence[Path] = (), environ: Mapping[str, str] = os.environ
) -> Connection:
    """A connection by a kubeconfig's context, its exec plugin included; empty: the current one.

    :raises ClusterError: no such context, or one that is not understood.
    """
    found = read_context(context, paths, environ)
    return connect(found.name, found.endpoint, found.tokens)


def connect_eks(
    cluster: str,
    endpoint: str,
    certificate_authority: str,
    credentials: Callable[[], Credentials],
    *,
    region: str,
    sts_endpoint: str = "",
    clock: Callable[[], datetime] = utc_now,
) -> Connection:
    """A connection to an EKS cluster without a kubeconfig: tokens are minted here and renewed before they end.

    :param endpoint: of ``DescribeCluster``, with ``https://``.
    :param certificate_authority: its ``certificateAuthority.data``: base64 of PEM.
    :param credentials: asked each time a token is made, so that they may be renewed too.
    :param sts_endpoint: the URL of STS where it is not AWS's own (``AWS_ENDPOINT_URL``).
    """
    if not endpoint.startswith("https://") or not certificate_authority:
        raise ClusterError(
            "EKS gives no address for it yet", where=f"cluster {cluster}", advice="wait until it is ACTIVE"
        )
    try:
        pem = base64.b64decode(certificate_authority, validate=True).decode("ascii")
    except ValueError:
        raise ClusterError("its certificate authority is not base64", where=f"cluster {cluster}") from None
    tokens = minted_tokens(credentials, cluster, region=region, sts_endpoint=sts_endpoint, clock=clock)
    return connect(cluster, Endpoint(endpoint, ca_pem=pem), tokens)


def who_am_i(connection: Connection) -> KubernetesUser | None:
    """Who the cluster takes the caller for (SelfSubjectReview, Kubernetes 1.28 and later); ``None`` on older ones.

    :raises ClusterError: among others with code 401 where the cluster does not know the caller.
    """
    try:
        with explained(f"cluster {connection.name}"):
            found = connection.client.create(SelfSubjectReview())
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return None
        raise
    user = found.status.userInfo if isinstance(found, ReviewModel) and found.status else None
    if user is None:
        return None
    extra = {key: tuple(values) for key, values in (user.extra or {}).items()}
    return KubernetesUser(user.username or "", user.uid or "", tuple(user.groups or ()), extra)
