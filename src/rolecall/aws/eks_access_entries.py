"""Access entries changed: made, updated, deleted, and their access policies associated and taken away.

EKS updates an entry by several calls. What is taken away goes first, what is given comes last, so that in between an
entry never has more than before and after together. Source: EKS API reference, CreateAccessEntry, UpdateAccessEntry,
AssociateAccessPolicy; EKS user guide, "Create access entries".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from rolecall.aws.errors import ABSENT
from rolecall.aws.eventual import code, offer, settles
from rolecall.aws.read_clusters import read_entry
from rolecall.mapping.access_entries import AccessEntry, EntryType

Value = Mapping[str, Any]
# More than EKS has by far; a list that does not end is cut.
MAX_POLICIES = 1_000


def write_entry(eks: Any, cluster: str, principal_arn: str, before: Value | None, after: Value | None) -> None:
    """Make, change or delete an access entry.

    Values have ``type``, ``username``, ``groups`` and ``policies``, each policy with ``policyArn``, ``scope`` and
    ``namespaces``. A principal and a type cannot be changed: another type is another entry.

    :raises ClientError: what EKS refuses, in its words.
    """
    who = {"clusterName": cluster, "principalArn": principal_arn}
    if before is not None and (after is None or before["type"] != after["type"]):
        _delete(eks, who)
        before = None
    if after is None:
        return
    old: Sequence[Value] = before["policies"] if before else ()
    gone = {policy["policyArn"] for policy in old} - {policy["policyArn"] for policy in after["policies"]}
    for arn in sorted(gone):
        eks.disassociate_access_policy(policyArn=arn, **who)
    if before is None:
        _create(eks, who, after)
    elif (before["username"], sorted(before["groups"])) != (after["username"], sorted(after["groups"])):
        eks.update_access_entry(username=after["username"], kubernetesGroups=list(after["groups"]), **who)
    for policy in after["policies"]:
        if policy not in old:
            scope = {"type": policy["scope"]} | ({"namespaces": policy["namespaces"]} if policy["namespaces"] else {})
            eks.associate_access_policy(policyArn=policy["policyArn"], accessScope=scope, **who)


def _create(eks: Any, who: Mapping[str, str], after: Value) -> None:
    arguments: dict[str, Any] = {"type": after["type"], **who}
    if after["type"] == EntryType.STANDARD:
        # For nodes EKS gives username and groups itself and refuses to be told.
        arguments |= {"username": after["username"], "kubernetesGroups": list(after["groups"])}
    offer(partial(eks.create_access_entry, **arguments), "InvalidParameterException", "invalid principal")


def _delete(eks: Any, who: Mapping[str, str]) -> None:
    try:
        eks.delete_access_entry(**who)
    except ClientError as error:
        if code(error) not in ABSENT:
            raise


def wait_for_entry(eks: Any, cluster: str, principal_arn: str, settled: Callable[[AccessEntry | None], bool]) -> bool:
    """Wait until EKS shows an entry as it was meant, for it is eventually consistent; whether it came to that.

    The cluster itself follows some seconds later, which nothing but signing in can show.
    """

    def shown() -> bool:
        found = read_entry(eks, cluster, principal_arn)
        return settled(found.entry if found else None)

    return settles(shown)


def access_policy_names(eks: Any) -> dict[str, str]:
    """The access policies that EKS offers: ARNs by name."""
    found: dict[str, str] = {}
    options: dict[str, Any] = {"maxResults": 100}
    while len(found) < MAX_POLICIES:
        page = eks.list_access_policies(**options)
        found |= {policy["name"]: policy["arn"] for policy in page["accessPolicies"]}
        if not page.get("nextToken"):
            break
        options["nextToken"] = page["nextToken"]
    return found
