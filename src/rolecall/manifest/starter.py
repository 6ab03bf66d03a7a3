"""A first ``access.yaml``: one person, one role, one cluster, with comments that say what else there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.manifest.schema import MappingBackend
from rolecall.manifest.write_yaml import HEADER, flow, scalar
from rolecall.rbac.rules import MASTERS


@dataclass(frozen=True, slots=True)
class Start:
    """What a first file is to hold.

    :param person: a new IAM user's name, or the ARN of an existing user or role.
    :param clusters: names in EKS.
    :param groups: Kubernetes groups; empty: one with the role's name.
    :param cluster_role: what the groups are bound to; empty: nothing, because the cluster has bindings for them.
    :param username: a template; empty: the role's name and the session's.
    :param profile: of the AWS CLI's files, or empty.
    """

    person: str
    role: str
    clusters: Sequence[str]
    account: str
    region: str
    groups: Sequence[str] = ()
    cluster_role: str = "view"
    username: str = ""
    mapping: MappingBackend | None = None
    profile: str = ""


def starter(start: Start) -> str:
    """The file's text."""
    existing = start.person.startswith("arn:")
    name = start.person.rpartition("/")[2] if existing else start.person
    person = {"arn": start.person} if existing else {"user": name, "account": "main"}
    account = {"id": start.account} | ({"profile": start.profile} if start.profile else {})
    cluster: dict[str, Any] = {"account": "main", "region": start.region}
    cluster |= {"mapping": start.mapping.value} if start.mapping else {}
    groups = list(start.groups) or [start.role]
    # Groups of Kubernetes' own have their bindings.
    bound = [group for group in groups if not group.startswith("system:")] if start.cluster_role else []
    username = start.username or f"{start.role}:{{{{SessionName}}}}"
    clusters = "".join(f"  {scalar(one)}: {flow(cluster)}\n" for one in start.clusters)
    lines = [
        HEADER,
        "# Who has access to which clusters, through which roles.",
        "# rolecall plan shows what would change; rolecall apply changes it.",
        "",
        "accounts:",
        f"  main: {flow(account)}",
        "",
        "# An IAM user that is made and owned here (user, account), somebody who exists (arn),",
        "# or a permission set of IAM Identity Center (permissionSet, account).",
        "people:",
        f"  {scalar(name)}: {flow(person)}",
        "",
        "# Lists of people and of other groups, for assumableBy.",
        "# groups:",
        f"#   {scalar(start.role + '-team')}: [{scalar(name)}]",
        "",
        "roles:",
        f"  {scalar(start.role)}:",
        "    account: main",
        "    # Who may assume the role; nobody else may. With an end: {person: NAME, until: 2030-01-31}",
        f"    assumableBy: [{scalar(name)}]",
        "    # Only with a second factor, and with the session named after its person:",
        "    # conditions: {mfa: true, sessionName: username}",
        "",
        "clusters:",
        clusters.rstrip("\n"),
        "",
        "grants:",
        f"  - role: {scalar(start.role)}",
        f"    clusters: {flow(list(start.clusters))}",
        f"    username: {scalar(username)}",
        f"    groups: {flow(groups)}",
        *_bindings(start, groups, bound),
        "    # until: 2030-01-31T18:00:00Z",
    ]
    return "\n".join(lines) + "\n"


def _bindings(start: Start, groups: Sequence[str], bound: Sequence[str]) -> list[str]:
    if MASTERS in groups:
        return [
            "    # No RBAC rule limits system:masters; plan and apply ask for --allow system-masters. Rather:",
            "    # bindings: [{clusterRole: cluster-admin}] with a group of your own",
        ]
    if not bound:
        return []
    return [
        "    # What the groups may do: a ClusterRole everywhere, or in one namespace with namespace: NAME.",
        f"    bindings: [{{clusterRole: {scalar(start.cluster_role)}}}]",
    ]
