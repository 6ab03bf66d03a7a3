"""What a control plane needs on disk: certificates, the service account key, kubeconfigs of webhooks. Owner only."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rolecall.lab.kubernetes.certificates import Authority
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountKey
from rolecall.local_files.private import write_private
from rolecall.tls import client_context

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class ControlPlaneFiles:
    """The files of one control plane.

    The CA of etcd is not the cluster's: a client of the API server is not a client of its storage.

    :param administrator: key and certificate of a client in ``system:masters``, with which the lab itself calls.
    :param serving: key and certificate of the API server and of the lab's webhooks.
    """

    folder: Path
    ca: Path
    serving: Path
    administrator: Path
    etcd_ca: Path
    etcd_serving: Path
    etcd_client: Path
    service_account_key: ServiceAccountKey
    service_account_public_key: Path

    @classmethod
    def ensure(cls, folder: Path, now: datetime, *, old_ca: bool = False) -> ControlPlaneFiles:
        """The files in ``folder``, created if they are not there yet; ``old_ca`` as for :class:`Authority`."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = ("ca", "serving", "administrator", "etcd-ca", "etcd-serving", "etcd-client")
        paths = [folder / f"{name}.pem" for name in names]
        if not all(path.exists() for path in paths):
            cluster, storage = Authority(now, old=old_ca), Authority(now)
            texts = (
                cluster.pem,
                cluster.server("kube-apiserver"),
                cluster.client("rolecall-lab", MASTERS),
                storage.pem,
                storage.server("etcd"),
                storage.client("kube-apiserver", "etcd"),
            )
            for path, text in zip(paths, texts, strict=True):
                write_private(path, text)
        ca, serving, administrator, etcd_ca, etcd_serving, etcd_client = paths
        key, public = ServiceAccountKey(folder), folder / "service-account-public-key.pem"
        write_private(public, key.public_pem())
        return cls(folder, ca, serving, administrator, etcd_ca, etcd_serving, etcd_client, key, public)

    def client_context(self) -> ssl.SSLContext:
        """How the lab speaks to the API server as its administrator."""
        context = client_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.administrator)
        return context


def write_webhook_kubeconfig(path: Path, url: str, ca: Path, token: str) -> None:
    """The file by which an API server finds a webhook, and the token that it shows there.

    JSON is YAML. Source: Kubernetes documentation, "Webhook Token Authentication".
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "webhook", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "kube-apiserver", "user": {"token": token}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "kube-apiserver"}}],
        "current-context": "webhook",
    }
    write_private(path, json.dumps(config, indent=2) + "\n")
