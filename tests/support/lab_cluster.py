"""A client of a lab's cluster, as the account's administrator or with any token."""

from __future__ import annotations

from datetime import UTC, datetime

from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User

from rolecall.aws.read_clusters import EksCluster
from rolecall.aws.session import AwsClients
from rolecall.tokens.mint import mint


def client_of(clients: AwsClients, cluster: EksCluster, token: str = "") -> Client:
    """A client with a token made from the account's credentials, or with the token given."""
    if not token:
        token = mint(
            clients.credentials(cluster.account),
            cluster.name,
            region=cluster.region,
            now=datetime.now(UTC),
            endpoint=clients.endpoint(cluster.account, "sts", cluster.region),
        ).value
    config = KubeConfig.from_one(
        cluster=Cluster(server=cluster.endpoint, certificate_auth_data=cluster.certificate_authority),
        user=User(token=token),
    )
    return Client(config=config, trust_env=False)
