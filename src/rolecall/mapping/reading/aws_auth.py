"""The ConfigMap ``kube-system/aws-auth``, read exactly as the authenticator reads it, and what is wrong with it.

The authenticator decodes each of ``mapRoles`` and ``mapUsers`` from YAML by way of JSON: keys in any case, a value of
the wrong type leaves its field empty and keeps the rest, a text that is no YAML loses its whole section. The last of
two entries for one ARN wins; ARNs are compared in lower case. Source: aws-iam-authenticator v0.7
``pkg/mapper/configmap/configmap.go`` (``ParseMap``, ``saveMap``) and Go's ``encoding/json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, check_bounds

# An object of the API server is at most 1.5 MiB (etcd's request limit); nothing longer can come from a cluster.
MAX_SECTION = 1_572_864
_STRING = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# Go's yaml.v2 takes 1e3 for a number, which YAML 1.1 and so PyYAML do not (sigs.k8s.io/yaml goyaml.v2, resolve.go).
_GO_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+", re.ASCII)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the ConfigMap that does not do what its author meant.

    :param section: ``mapRoles``, ``mapUsers`` or ``mapAccounts``.
    :param line: counted from 1 within the section's text.
    :param code: which kind of problem, stable, for programs.
    """

    section: str
    line: int
    text: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.section} line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class AwsAuthEntry:
    """One entry of ``mapRoles`` or ``mapUsers``; a field that could not be decoded is empty."""

    section: str
    line: int
    arn: str
    username: str
    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"aws-auth {self.section} line {self.line}"


@dataclass(frozen=True, slots=True)
class AwsAuth:
    """What the authenticator holds after reading the ConfigMap.

    :param roles: by lower-case ARN, the last entry of each.
    :param users: the same for ``mapUsers``.
    :param accounts: account ids of ``mapAccounts``.
    :param entries: every entry in the order of the text, shadowed ones included.
    """

    roles: Mapping[str, AwsAuthEntry]
    users: Mapping[str, AwsAuthEntry]
    accounts: frozenset[str]
    entries: tuple[AwsAuthEntry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def find(self, canonical_arn: str, account: str) -> AwsAuthEntry | None:
        """The entry for a canonical ARN: roles before users, then the account with the ARN as username."""
        key = canonical_arn.lower()
        found = self.roles.get(key) or self.users.get(key)
        if found is None and account in self.accounts:
            # An automatically mapped account gives the ARN as name and no group at all.
            return AwsAuthEntry("mapAccounts", 0, canonical_arn, canonical_arn, ())
        return found


def parse_aws_auth(data: Mapping[str, str]) -> AwsAuth:
    """The mappings in the ``data`` of the ConfigMap; never fails, what is wrong is in ``problems``."""
    problems: list[Problem] = []
    entries = [
        *_entries(data.get("mapRoles", ""), "mapRoles", "rolearn", problems),
        *_entries(data.get("mapUsers", ""), "mapUsers", "userarn", problems),
    ]
    found: dict[str, dict[str, AwsAuthEntry]] = {"mapRoles": {}, "mapUsers": {}}
    for entry in entries:
        key = entry.arn.lower()
        if key and (shadowed := found[entry.section].get(key)):
            problems.append(
                Problem(entry.section, shadowed.line, f"never used: line {entry.line} maps the same ARN", "shadowed")
            )
        found[entry.section][key] = entry
        problems += _doubts(entry)
    for entries_of in found.values():
        entries_of.pop("", None)
    accounts = frozenset(_accounts(data.get("mapAccounts", ""), problems))
    return AwsAuth(found["mapRoles"], found["mapUsers"], accounts, tuple(entries), tuple(problems))


def _section(text: str, section: str, problems: list[Problem]) -> Iterator[Any]:
    """The nodes of a section's YAML list; nothing where the text is empty or no list.

    Go's ``Unmarshal`` reads the first document of a text and never looks at what follows ``---``.
    """
    if text.strip() in ("", "``", '""'):
        return
    if len(text) > MAX_SECTION:
        problems.append(Problem(section, 1, "the text is longer than a cluster can hold", "too-long"))
        return
    try:
        check_bounds(text, first_document=True)
        loader = _Loader(text)
        node = loader.get_node() if loader.check_node() else None
    except UnreadableYamlError as error:
        problems.append(Problem(section, error.line, f"{error.what}, so the whole section is lost", "not-yaml"))
        return
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problems.append(Problem(section, line, "not YAML, so the whole section is lost", "not-yaml"))
        return
    if node is None or node.tag == _NULL:
        return
    if not isinstance(node, yaml.SequenceNode):
        problems.append(
            Problem(section, node.start_mark.line + 1, "not a list, so the whole section is lost", "not-a-list")
        )
        return
    for item in node.value:
        if isinstance(item, yaml.MappingNode):
            loader.flatten_mapping(item)
        yield item


def _entries(text: str, section: str, arn_key: str, problems: list[Problem]) -> Iterator[AwsAuthEntry]:
    for node in _section(text, section, problems):
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            problems.append(Problem(section, line, "the entry is not a mapping, so it is lost", "not-a-mapping"))
            continue
        # On its way through JSON the keys are sorted, so of two spellings of a key the last in that order wins; of one
        # spelling given twice it is the last in the text.
        spelled = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        fields = {key.lower(): spelled[key] for key in sorted(spelled)}
        yield AwsAuthEntry(
            section,
            line,
            _text(fields.get(arn_key), section, arn_key, problems),
            _text(fields.get("username"), section, "username", problems),
            tuple(_groups(fields.get("groups"), section, problems)),
        )


def _text(node: Any, section: str, key: str, problems: list[Problem]) -> str:
    if node is None or node.tag == _NULL:
        return ""
    if isinstance(node, yaml.ScalarNode) and _is_text(node):
        return str(node.value)
    problems.append(
        Problem(
            section, node.start_mark.line + 1, f"{key} is not a string, so it counts as empty: quote it", "not-a-string"
        )
    )
    return ""


def _is_text(node: yaml.ScalarNode) -> bool:
    """Whether Go's YAML gives a string: dates and sexagesimal numbers such as 10:30 are texts there."""
    if node.tag == _STRING:
        return bool(node.style) or not _GO_NUMBER.fullmatch(node.value)
    return node.tag == _TIMESTAMP or (node.tag in _NUMBERS and ":" in node.value)


def _groups(node: Any, section: str, problems: list[Problem]) -> Iterator[str]:
    if node is None or node.tag == _NULL:
        return
    if not isinstance(node, yaml.SequenceNode):
        line = node.start_mark.line + 1
        problems.append(
            Problem(
                section, line, "groups is not a list, so the entry has no groups: write - in front", "groups-not-a-list"
            )
        )
        return
    for item in node.value:
        # Go keeps the place of an element that it cannot decode, with an empty text.
        yield _text(item, section, "a group", problems)


def _accounts(text: str, problems: list[Problem]) -> Iterator[str]:
    for node in _section(text, "mapAccounts", problems):
        if isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
            # Decoded by yaml.v2 itself, which keeps the digits of a number as they are written.
            yield node.value
        else:
            problems.append(
                Problem("mapAccounts", node.start_mark.line + 1, "not an account id, so it is lost", "not-an-account")
            )


def _doubts(entry: AwsAuthEntry) -> Iterator[Problem]:
    def problem(text: str, code: str) -> Problem:
        return Problem(entry.section, entry.line, text, code)

    if not entry.arn:
        yield problem("the entry has no ARN, so it matches nobody", "no-arn")
        return
    wanted = PrincipalKind.ROLE if entry.section == "mapRoles" else PrincipalKind.USER
    try:
        found = PrincipalArn.parse(entry.arn)
    except InvalidArnError:
        yield problem(f"{entry.arn!r} names no principal, so it matches nobody", "no-principal")
        return
    if found.kind is PrincipalKind.ASSUMED_ROLE:
        yield problem("a session's ARN never matches: give the role's, without its path", "session-arn")
    elif found.kind is PrincipalKind.ROLE and found.path != "/":
        yield problem("a role ARN with a path never matches: leave the path out", "path")
    elif found.kind is not wanted and found.kind is not PrincipalKind.ROOT:
        yield problem(f"this is the ARN of a {found.kind.value}", "wrong-kind")
    if not entry.username:
        yield problem("the entry has no username", "no-username")
