"""``rolecall verify``: who is behind a token."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from rolecall.authenticator.review import Review, StsRefusedError
from rolecall.errors import RolecallError
from rolecall.exec_plugin.authenticator_config import read_config
from rolecall.exec_plugin.settings import check_endpoint
from rolecall.mapping.resolve import MappingDecision
from rolecall.model import Identity, Reason
from rolecall.partitions import PARTITIONS
from rolecall.tokens import is_cluster_id
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.pasted import MAX_PASTED, find_token

_SECONDS = 15.0


def verify(
    cluster: Annotated[
        str,
        typer.Option(
            "-i",
            "--cluster-id",
            metavar="CLUSTER",
            envvar="KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID",
            help="Cluster that the token is for.",
        ),
    ] = "",
    text: Annotated[
        str | None,
        typer.Option("-t", "--token", metavar="TOKEN", help="Token to check (default: read from standard input)."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="text or json (default: text).")
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option(metavar="PARTITION", help=f"AWS partition: {', '.join(PARTITIONS)} (default: aws)."),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            "-c",
            "--config",
            metavar="FILE",
            help="Configuration file of the authenticator: clusterID, token, output and partition.",
        ),
    ] = "",
) -> None:
    """Check a token as an authenticator does, ask STS, and show whose it is.

    The token may be pasted with what is around it: an ExecCredential, a header, a line of a kubeconfig. On the command
    line, others on this machine can see it; on standard input they cannot.

    Exit codes: 0 the token is valid; 1 it is not, or STS cannot be asked; 2 usage.

    Examples:

    \b
    rolecall token -i prod --token-only | rolecall verify -i prod
    rolecall verify -i prod -t k8s-aws-v1.aHR0... -o json
    """
    file = read_config(config) if config else {}
    cluster = cluster or file.get("clusterid", "")
    text = text if text is not None else file.get("token") or "-"
    output = output if output is not None else file.get("output") or "text"
    partition = partition if partition is not None else file.get("partition") or "aws"
    if not cluster:
        raise typer.BadParameter("no cluster is named; use -i CLUSTER", param_hint="--cluster-id")
    if partition not in PARTITIONS:
        raise RolecallError(f"there is no partition {partition!r}", advice=f"partitions: {', '.join(PARTITIONS)}")
    if not is_cluster_id(cluster):
        raise RolecallError("the cluster id has characters that no HTTP header can carry, or is too long")
    if output not in ("", "text", "json"):
        # The original prints its own text for every other word.
        sys.stderr.write(f"rolecall: there is no format {output[:20]!r}; text is printed\n")
    token, around = find_token(_read() if text == "-" else text)
    if around:
        sys.stderr.write(f"rolecall: the token was taken out of {around}\n")
    _print(_identity(token, cluster, partition), as_json=output == "json")


def _read() -> str:
    """Standard input; a person at a terminal learns that it is waited for."""
    if sys.stdin.isatty():
        sys.stderr.write("Paste the token, then press Enter and Ctrl-D:\n")
        sys.stderr.flush()
    return sys.stdin.buffer.read(MAX_PASTED + 1).decode("utf-8", "replace")


def _identity(token: str, cluster: str, partition: str) -> Identity:
    try:
        return asyncio.run(identify(token, cluster, partition, os.environ))
    except StsRefusedError as error:
        if "SignatureDoesNotMatch" not in error.what:
            raise
        advice = (
            f"the token is probably for a cluster that is not called {cluster!r}: give -i the cluster id that the "
            "token was made for. If it is the right one, the secret key was wrong or the token was changed"
        )
        raise RolecallError(error.what, where=error.where, advice=advice) from None


def _print(identity: Identity, *, as_json: bool) -> None:
    """With the names of aws-iam-authenticator's ``token.Identity``."""
    found = {
        "ARN": identity.arn,
        "CanonicalARN": identity.canonical_arn,
        "AccountID": identity.account,
        "UserID": identity.user_id,
        "SessionName": identity.session_name,
        "AccessKeyID": identity.access_key_id,
        "STSEndpoint": identity.sts_endpoint,
    }
    if as_json:
        sys.stdout.write(json.dumps(found, indent=4) + "\n")
    else:
        sys.stdout.write("".join(f"{name + ':':<14} {value}\n" for name, value in found.items()))


async def identify(text: str, cluster: str, partition: str, environ: Mapping[str, str]) -> Identity:
    """Who is behind a token for a cluster.

    The endpoint that the environment names (``AWS_ENDPOINT_URL_STS``, ``AWS_ENDPOINT_URL``) counts as STS, too.

    :raises RolecallError: if the token fails a check, or STS refuses it.
    """
    from rolecall.authenticator.sts import AwsSts, tls_context

    name = next((name for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL") if environ.get(name)), "")
    endpoint = check_endpoint(environ[name], name, environ) if name else ""
    own = frozenset({urlsplit(endpoint).netloc}) if endpoint else frozenset()
    tls = tls_context(environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE") or "")
    async with AwsSts(tls=tls, connections=1, seconds=_SECONDS, own_endpoint=endpoint) as sts:
        review = Review(cluster, StsHosts(partition, own), sts, _unmapped)
        identity, _ = await review.identify(text, now=datetime.now(UTC))
        return identity


def _unmapped(identity: Identity) -> MappingDecision:
    """No mapping: verify shows who somebody is to AWS; as whom a cluster lets them in is another question."""
    return MappingDecision(None, (Reason("not-asked", "no cluster's mappings were asked"),))
