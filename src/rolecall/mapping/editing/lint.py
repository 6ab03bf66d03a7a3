"""Every known trap of aws-auth, with its line and what to do.

What the authenticator makes of the text is for :mod:`rolecall.mapping.reading.aws_auth` to say; its problems are
findings here; added is what it reads without complaint and people did not mean. Sources: EKS user guide, "Grant IAM
users access to Kubernetes with a ConfigMap" and "Troubleshoot IAM"; aws-iam-authenticator v0.7 and its issues 153,
268, 271, 293, 333; Kubernetes documentation, "Good practices for RBAC" and "Node authorization".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice

from rolecall.arn import PARTITIONS, Arn, PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.lines import yaml_lines
from rolecall.mapping.editing.yaml_text import Kind, Node, YamlTextError, parse
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, Problem, arn_key, parse_aws_auth, says_the_same
from rolecall.mapping.templates import PLACEHOLDERS

SECTIONS = ("mapRoles", "mapUsers", "mapAccounts")
# An object of etcd is at most 1.5 MiB, and a ConfigMap's data at most 1 MiB (Kubernetes documentation, "ConfigMaps").
MAX_DATA = 1 << 20
MAX_OF_A_VALUE = 5
# IAM API reference, CreateRole and CreateUser: the characters of a name.
_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_KEYS = {"mapRoles": ("rolearn", "username", "groups"), "mapUsers": ("userarn", "username", "groups")}
# Bounded, so that a text of braces alone takes linear time.
_BRACES = re.compile(r"\$?\{{1,3}[^{}]{0,100}\}{1,3}|\{\{|\}\}")
_SSO_ROLE = re.compile(r"AWSReservedSSO_.+_[0-9a-f]{16}", re.ASCII)
_Make = Callable[..., "Finding"]
_SESSION = ("{{SessionName}}", "{{SessionNameRaw}}")


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # it does not do what it says: somebody has no access, other access, or all of it
    WARNING = "warning"  # it works, and is dangerous or will break
    INFO = "info"  # worth knowing


@dataclass(frozen=True, slots=True)
class Finding:
    """One trap.

    :param code: stable, for programs.
    :param line: counted from 1 within the section's text; 0 for the section as a whole.
    :param arn: of the entry concerned, or empty.
    """

    code: str
    severity: Severity
    section: str
    line: int
    text: str
    advice: str = ""
    arn: str = ""

    def __str__(self) -> str:
        place = f"{self.section} line {self.line}" if self.line else self.section
        return f"{place}: {self.severity}: {self.text} [{self.code}]"


_LAST = "remove this entry or put its groups into the one that counts, which is the last"
_OF_PROBLEMS: dict[str, tuple[Severity, str]] = {
    "shadowed": (Severity.ERROR, _LAST),
    "repeated": (Severity.WARNING, "keep one of them"),
    "undecided": (Severity.ERROR, "keep one of them: the authenticator takes the one that it happens to meet first"),
    "second-document": (Severity.ERROR, "remove the line --- so that all entries are one list"),
    "too-long": (Severity.ERROR, "map roles instead of single people"),
    "not-yaml": (Severity.ERROR, "fix this line; until then no entry of this section works, those of nodes included"),
    "not-a-list": (Severity.ERROR, "start each entry with a dash"),
    "not-a-mapping": (Severity.ERROR, "write rolearn or userarn, username and groups below one dash"),
    "not-a-string": (Severity.ERROR, "put quotes around it"),
    "groups-not-a-list": (Severity.ERROR, "write each group on its own line with a dash in front"),
    "not-an-account": (Severity.ERROR, 'write 12 digits in quotes: - "111122223333"'),
    "no-arn": (Severity.ERROR, "give rolearn in mapRoles, userarn in mapUsers"),
    "two-principals": (Severity.ERROR, "remove sso: it is an alpha feature that EKS does not have"),
    "bad-sso": (Severity.ERROR, "give rolearn: arn:aws:iam::ACCOUNT:role/AWSReservedSSO_NAME_SUFFIX, without a path"),
    "no-principal": (Severity.ERROR, "write arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME"),
    "session-arn": (Severity.ERROR, ""),
    "path": (Severity.ERROR, ""),
    "wrong-kind": (Severity.WARNING, "move it to the section of its kind: it works here, but other tools miss it"),
    "no-username": (Severity.ERROR, "give a username: Kubernetes refuses a user without a name"),
}


def lint(data: Mapping[str, str]) -> tuple[Finding, ...]:
    """All findings, by section and line; none for a ConfigMap that does what it says, safely."""
    found = parse_aws_auth(data)
    nodes = {section: _items(data.get(section, ""), section) for section in SECTIONS}
    items = {(section, node.line): node for section, of_it in nodes.items() for node in of_it}
    entries = {(entry.section, entry.line): entry for entry in found.entries}
    findings: list[Finding] = []
    findings += _whole(data)
    findings += (
        _of_problem(problem, entries.get((problem.section, problem.line)), data)
        for problem in found.problems
        if not _explained(problem, items.get((problem.section, problem.line)))
    )
    for section in ("mapRoles", "mapUsers"):
        for item in nodes[section]:
            findings += _keys(section, item)
    findings += _accounts(nodes["mapAccounts"])
    in_force = {id(entry) for entry in (*found.roles.values(), *found.users.values())}
    for entry in found.entries:
        if id(entry) in in_force or not entry.arn:
            findings += _entry(entry, found)
    unique = {(finding.code, finding.section, finding.line, finding.text): finding for finding in findings}
    return tuple(sorted(unique.values(), key=_order))


def _order(finding: Finding) -> tuple[int, str, int, str]:
    known = SECTIONS.index(finding.section) if finding.section in SECTIONS else -1
    return known, finding.section, finding.line, finding.code


def _items(text: str, section: str) -> Sequence[Node]:
    try:
        tree = parse(text, section)
    except YamlTextError:
        return ()  # what makes it unreadable is among the parser's problems
    return tree.children if tree and tree.kind is Kind.SEQUENCE else ()


def _whole(data: Mapping[str, str]) -> Iterator[Finding]:
    for key in data:
        if key not in SECTIONS and (near := _nearest(key, SECTIONS)):
            text, advice = f"unknown section {key!r}: EKS ignores it", f"did you mean {near}?"
            yield Finding("unknown-section", Severity.ERROR, key, 0, text, advice)
    if sum(len(key) + len(text.encode(errors="replace")) for key, text in data.items()) > MAX_DATA:
        yield Finding("too-long", Severity.ERROR, "mapRoles", 0, "more than the 1 MiB that a ConfigMap may hold")
    for section in SECTIONS:
        for number, line in enumerate(yaml_lines(data.get(section, "")), 1):
            if "\t" in line[: len(line) - len(line.lstrip(" \t-"))]:
                advice = "use spaces: YAML does not allow tabs there"
                yield Finding("tab", Severity.ERROR, section, number, "a tab in the indentation", advice)


def _explained(problem: Problem, item: Node | None) -> bool:
    """Whether a closer look at the entry says it better: no ARN or username because its key is misspelt."""
    if problem.code not in ("no-arn", "no-username") or item is None or item.kind is not Kind.MAPPING:
        return False
    wanted = _KEYS[problem.section][0] if problem.code == "no-arn" else "username"
    return any(_meant(key.value, problem.section) == wanted for key, _ in item.pairs)


def _of_problem(problem: Problem, entry: AwsAuthEntry | None, data: Mapping[str, str]) -> Finding:
    severity, advice = _OF_PROBLEMS[problem.code]
    arn = entry.arn if entry else ""
    if problem.code == "no-principal":
        advice = _better_arn(arn) or advice
    if problem.code in ("session-arn", "path"):
        principal = _parsed(arn)
        advice = f"write arn:{principal.partition}:iam::{principal.account}:role/{principal.name}"
    if problem.code == "not-yaml":
        lines = yaml_lines(data.get(problem.section, ""))
        if "\t" in (lines[problem.line - 1] if problem.line <= len(lines) else ""):
            advice = f"line {problem.line} has a tab, and YAML allows only spaces there. {advice}"
    return Finding(problem.code, severity, problem.section, problem.line, problem.text, advice, arn)


def _parsed(arn: str) -> PrincipalArn:
    """The principal of an ARN, in its own letters if they can be read, since the authenticator takes any case."""
    try:
        return PrincipalArn.parse(arn)
    except InvalidArnError:
        return PrincipalArn.parse(arn_key(arn))


def _better_arn(arn: str) -> str:
    """What to write instead of an ARN that names no principal, as far as it can be told."""
    if arn != arn.strip():
        return f"remove the spaces: {arn.strip()}"
    if "*" in arn or "?" in arn:
        return "patterns are not matched: map each role, or use mapAccounts for a whole account without groups"
    try:
        parsed = Arn.parse(arn)
    except InvalidArnError:
        return ""
    if parsed.partition not in PARTITIONS:
        near = _nearest(parsed.partition, tuple(PARTITIONS)) or " or ".join(PARTITIONS)
        return f"there is no partition {parsed.partition!r}: did you mean {near}?"
    if parsed.region and parsed.service in ("iam", "sts"):
        right = f"arn:{parsed.partition}:{parsed.service}::{parsed.account}:{parsed.resource}"
        return f"the region has to be empty, because IAM has none: write {right}"
    if parsed.resource.startswith("instance-profile/"):
        return "an instance profile is not a principal: give the ARN of the role in it"
    if not re.fullmatch("[0-9]{12}", parsed.account):
        return f"the account id has {len(parsed.account)} characters instead of 12 digits: a leading zero may be lost"
    return ""


def _keys(section: str, item: Node) -> Iterator[Finding]:
    """Keys that are misspelt, capital, twice, or of no use."""
    if item.kind is not Kind.MAPPING:
        return
    seen: dict[str, int] = {}
    arn = next((value.value for key, value in item.pairs if key.value.lower() == _KEYS[section][0]), "")
    for key, _ in item.pairs:
        name, line = key.value, key.line
        if name.lower() in seen:
            text = f"{name} is given twice, also in line {seen[name.lower()]}"
            yield Finding("duplicate-key", Severity.ERROR, section, line, text, "keep one of the two", arn)
        seen[name.lower()] = line
        meant = _meant(name, section)
        if name in _KEYS[section] or name == "<<":
            continue
        if name.lower() in _KEYS[section]:
            text = f"the key {name} has capital letters: EKS reads only lower-case keys"
            yield Finding("capital-key", Severity.ERROR, section, line, text, f"write {name.lower()}", arn)
        elif name.lower() == "sso" and section == "mapRoles":
            yield Finding(
                "sso",
                Severity.ERROR,
                section,
                line,
                "sso never matches on EKS: it is an alpha feature of the authenticator (SSORoleMatch), off there",
                "give rolearn: arn:aws:iam::ACCOUNT:role/AWSReservedSSO_NAME_SUFFIX, without a path",
                arn,
            )
        elif meant:
            text = f"unknown key {name!r}: EKS ignores it"
            yield Finding("misspelt-key", Severity.ERROR, section, line, text, f"did you mean {meant}?", arn)
        else:
            text = f"unknown key {name!r}: EKS ignores it"
            yield Finding("unknown-key", Severity.INFO, section, line, text, "", arn)


def _meant(name: str, section: str) -> str:
    """The key that a misspelt one stands for, or empty."""
    bare = re.sub(r"[-_ ]", "", name.lower())
    if bare in ("arn", "rolearn", "userarn", "role", "user"):
        return _KEYS[section][0]
    return "groups" if bare == "group" else _nearest(bare, _KEYS[section])


def _nearest(name: str, known: Sequence[str]) -> str:
    lower = {word.lower(): word for word in known}
    return next((lower[match] for match in get_close_matches(name[:64].lower(), lower, n=1, cutoff=0.7)), "")


def _accounts(items: Iterable[Node]) -> Iterator[Finding]:
    for item in items:
        if item.kind is not Kind.SCALAR or not item.value:
            continue  # among the parser's problems
        text, code = f"{item.value!r} is not an account id", "bad-account"
        if not re.fullmatch("[0-9]{12}", item.value):
            advice = "an account id has 12 digits; a leading zero may be lost, so quote it"
            yield Finding(code, Severity.ERROR, "mapAccounts", item.line, text, advice)
        elif not item.style:
            text = f"the account id {item.value} is not quoted, so readers may take it for a number and lose zeros"
            severity = Severity.ERROR if item.value.startswith("0") else Severity.WARNING
            yield Finding("unquoted-account", severity, "mapAccounts", item.line, text, f'write "{item.value}"')


def _entry(entry: AwsAuthEntry, found: AwsAuth) -> Iterator[Finding]:
    """What an entry in force says, as far as it can be read."""

    def finding(code: str, severity: Severity, text: str, advice: str = "") -> Finding:
        return Finding(code, severity, entry.section, entry.line, text, advice, entry.arn)

    for value in (entry.username, *entry.groups):
        for wrong, advice in _bad_templates(value):
            yield finding("unknown-template", Severity.ERROR, f"{wrong!r} in {value[:80]!r} is not replaced", advice)
    if entry.section == "mapUsers" and arn_key(entry.arn) in found.roles:
        role = found.roles[arn_key(entry.arn)]
        text = f"never used: mapRoles line {role.line} maps the same ARN, and roles come first"
        if says_the_same(role, entry):
            yield finding("repeated", Severity.WARNING, text, "keep one of the two")
        else:
            yield finding("shadowed", Severity.ERROR, text, "keep one of the two")
    yield from _principal(entry, finding)
    yield from _groups(entry, finding)
    if any(session in entry.username for session in _SESSION) and not _is_node(entry):
        yield finding(
            "session-name-in-username",
            Severity.INFO,
            "anyone who assumes the role chooses the session name, and with it this username",
            "let the role's trust policy require sts:RoleSessionName to be ${aws:username}",
        )
    if entry.username.startswith("system:") and not _is_node(entry):
        yield finding("system-username", Severity.WARNING, f"{entry.username} is a name of Kubernetes' own components")


def _bad_templates(value: str) -> Iterator[tuple[str, str]]:
    for found in islice(_BRACES.finditer(value), MAX_OF_A_VALUE):
        written = found[0]
        if written not in PLACEHOLDERS:
            bare = re.sub(r"[^A-Za-z0-9]", "", written)
            near = _nearest(bare, [placeholder.strip("{}") for placeholder in PLACEHOLDERS])
            yield written, f"did you mean {{{{{near}}}}}?" if near else f"there are {', '.join(PLACEHOLDERS)}"


def _principal(entry: AwsAuthEntry, finding: _Make) -> Iterator[Finding]:
    try:
        principal = _parsed(entry.arn)
    except InvalidArnError:
        return  # among the parser's problems
    if not _NAME.fullmatch(principal.name):
        text = f"{principal.name[:140]!r} is not a name that a user or role can have, so it matches nobody"
        yield finding("no-principal", Severity.ERROR, text, _better_arn(entry.arn))
    if principal.kind is PrincipalKind.ROOT:
        yield finding(
            "root", Severity.WARNING, "this is the root user alone, not everybody in the account", "see mapAccounts"
        )
    if _SSO_ROLE.fullmatch(principal.name):
        yield finding(
            "sso-role",
            Severity.INFO,
            "the suffix of this role's name changes if its permission set is removed and assigned again",
            "then the entry matches nobody",
        )


def _groups(entry: AwsAuthEntry, finding: _Make) -> Iterator[Finding]:
    if "system:masters" in entry.groups:
        yield finding(
            "system-masters",
            Severity.WARNING,
            "system:masters may do everything: no RBAC rule and no authorization webhook is asked",
            "bind a group of your own to the ClusterRole cluster-admin",
        )
    for group in entry.groups:
        if any(session in group for session in _SESSION):
            text = f"anyone who assumes the role chooses the session name, and with it the group {group}"
            yield finding("session-name-in-group", Severity.ERROR, text, "write the group out")
        if "{{AccessKeyID}}" in group:
            text = f"the group {group} changes with each access key; callers could once choose it (CVE-2022-2385)"
            yield finding("access-key-in-group", Severity.WARNING, text, "write the group out")
    if len(set(entry.groups)) < len(entry.groups):
        yield finding("duplicate-group", Severity.INFO, "a group is given twice")
    is_node, named = "system:nodes" in entry.groups, entry.username.startswith("system:node:")
    if is_node is not named and (is_node or named):
        text = "a node needs both the group system:nodes and a username system:node:NAME; this entry has only one"
        advice = "write username: system:node:{{EC2PrivateDNSName}} and the groups system:bootstrappers, system:nodes"
        yield finding("half-a-node", Severity.ERROR, text, advice)


def _is_node(entry: AwsAuthEntry) -> bool:
    return "system:nodes" in entry.groups or entry.username.startswith("system:node:")
