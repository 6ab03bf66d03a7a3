"""``rolecall token``, ``rolecall eks`` in the list of commands, and ``rolecall verify``.

The first two are carried out before this module is loaded (:mod:`rolecall.__main__`); here they are for the help, and
for whoever calls the command line as a function.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import typer

from rolecall.authenticator.review import Review
from rolecall.errors import RolecallError
from rolecall.exec_plugin.settings import check_endpoint
from rolecall.mapping.resolve import MappingDecision
from rolecall.model import Identity, Reason
from rolecall.partitions import PARTITIONS
from rolecall.tokens import MAX_TOKEN_LENGTH, is_cluster_id
from rolecall.tokens.hosts import StsHosts

PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_SECONDS = 15.0


class VerifyFormat(StrEnum):
    """Values of ``-o``."""

    text = "text"
    json = "json"


def token(context: typer.Context) -> None:
    """A token for a cluster: kubectl's credential plugin, with the flags of aws-iam-authenticator.

    \b
    rolecall token -i prod
    rolecall token -i prod -r arn:aws:iam::111122223333:role/Dev
    """
    _pass_on("token", context)


def eks(context: typer.Context) -> None:
    """`eks get-token`, with the flags and the output of the AWS CLI.

    \b
    rolecall eks get-token --cluster-name prod
    """
    _pass_on("eks", context)


def _pass_on(command: str, context: typer.Context) -> None:
    from rolecall.exec_plugin.command import main

    raise typer.Exit(main([command, *context.args]))


def verify(
    cluster: Annotated[
        str,
        typer.Option(
            "-i", "--cluster-id", envvar="KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", help="The cluster it is for."
        ),
    ],
    text: Annotated[
        str, typer.Option("-t", "--token", metavar="TOKEN", help="The token; - reads it from standard input.")
    ] = "-",
    output: Annotated[VerifyFormat, typer.Option("-o", "--output", help="How to print it.")] = VerifyFormat.text,
    partition: Annotated[str, typer.Option(help=f"The AWS partition: {', '.join(PARTITIONS)}.")] = "aws",
) -> None:
    """Who is behind a token: every check of an authenticator, and STS's answer.

    A token on the command line can be seen by others on this machine; standard input is not.

    \b
    rolecall token -i prod --token-only | rolecall verify -i prod
    rolecall verify -i prod -t k8s-aws-v1.aHR0... -o json
    """
    if partition not in PARTITIONS:
        raise RolecallError(f"there is no partition {partition!r}", advice=f"partitions: {', '.join(PARTITIONS)}")
    if not is_cluster_id(cluster):
        raise RolecallError("the cluster ID has characters that no HTTP header can carry, or is too long")
    if text == "-":
        text = sys.stdin.read(MAX_TOKEN_LENGTH + 2)
    identity = asyncio.run(identify(text.strip(), cluster, partition, os.environ))
    found = {
        "ARN": identity.arn,
        "CanonicalARN": identity.canonical_arn,
        "AccountID": identity.account,
        "UserID": identity.user_id,
        "SessionName": identity.session_name,
        "AccessKeyID": identity.access_key_id,
    }
    if output is VerifyFormat.json:
        sys.stdout.write(json.dumps(found, indent=4) + "\n")
    else:
        sys.stdout.write("".join(f"{name + ':':<14} {value}\n" for name, value in found.items()))


async def identify(text: str, cluster: str, partition: str, environ: Mapping[str, str]) -> Identity:
    """Who is behind a token for a cluster.

    The endpoint that the environment names (``AWS_ENDPOINT_URL_STS``, ``AWS_ENDPOINT_URL``) counts as STS, too.

    :raises RolecallError: where the token fails a check, or STS refuses it.
    """
    from rolecall.authenticator.sts import AwsSts, tls_context

    name = next((name for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL") if environ.get(name)), "")
    endpoint = check_endpoint(environ[name], name, environ) if name else ""
    own = frozenset({urlsplit(endpoint).netloc}) if endpoint else frozenset()
    tls = tls_context(environ.get("AWS_CA_BUNDLE", ""))
    async with AwsSts(tls=tls, connections=1, seconds=_SECONDS, own_endpoint=endpoint) as sts:
        review = Review(cluster, StsHosts(partition, own), sts, _unmapped)
        identity, _ = await review.identify(text, now=datetime.now(UTC))
        return identity


def _unmapped(identity: Identity) -> MappingDecision:
    """Nobody: verify tells who somebody is to AWS; whom a cluster takes them for is another question."""
    return MappingDecision(None, (Reason("not-asked", "no cluster's mappings were asked"),))
