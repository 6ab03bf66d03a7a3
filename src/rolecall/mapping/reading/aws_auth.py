"""The ConfigMap ``kube-system/aws-auth``, read exactly as the authenticator reads it, and what is wrong with it.

The authenticator turns each of ``mapRoles`` and ``mapUsers`` from YAML into JSON and decodes that into its entries: a
text that is not YAML loses its whole section, keys count in any case, a value of the wrong type leaves its field empty
and keeps the rest, and an entry that then fails validation (no ARN, an ARN together with ``sso``) is dropped. Of two
roles for one ARN the last counts; of two users whose ARNs differ in case either may. Sources: aws-iam-authenticator
v0.7 ``pkg/mapper/configmap/configmap.go`` (``ParseMap``, ``saveMap``, ``UserMapping``), ``pkg/config/mapper.go``
(``Validate``, ``Matches``, ``Key``) and Go's ``encoding/json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.mapping.reading.bounded_yaml import (
    Kind,
    Node,
    UnreadableYamlError,
    is_null,
    json_fault,
    members,
    read_document,
)
from rolecall.mapping.reading.go_scalars import BadScalarError, GoYaml, scalar_value
from rolecall.mapping.reading.sso import SsoRole, SsoRoleError, parse_sso

# An object of the API server is at most 1.5 MiB (etcd's request limit); nothing longer can come from a cluster.
MAX_SECTION = 1_572_864
_ARN_KEYS = {"mapRoles": "rolearn", "mapUsers": "userarn"}
_SSO_KEYS = {"permissionsetname": "permissionSetName", "accountid": "accountID", "partition": "partition"}
# What the authenticator takes for an empty section (configmap.go, isSkippable), and an empty list.
_NOTHING = ("", "``", '""', "''")
# Go's strings.TrimSpace; Python's strip also takes U+001C to U+001F.
_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_NO_ARN = "the entry has no ARN, so it matches nobody"
# Codes of problems: a line that cannot mean what it says, and a line that has no effect or not the one that it shows.
SLIPS = frozenset(
    {
        "too-long",
        "not-yaml",
        "not-a-list",
        "not-a-mapping",
        "not-a-string",
        "groups-not-a-list",
        "not-an-account",
        "no-arn",
        "two-principals",
        "bad-sso",
    }
)
DOUBTS = frozenset(
    {
        "second-document",
        "shadowed",
        "repeated",
        "undecided",
        "no-username",
        "no-principal",
        "session-arn",
        "path",
        "wrong-kind",
    }
)


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
    """One entry of ``mapRoles`` or ``mapUsers``; a field that could not be decoded is empty.

    :param sso: the permission set that the entry is for, in place of an ARN.
    :param is_dropped: whether the authenticator drops the entry because it fails validation.
    """

    section: str
    line: int
    arn: str
    username: str
    groups: tuple[str, ...]
    sso: SsoRole | None = None
    is_dropped: bool = False

    def __str__(self) -> str:
        return f"aws-auth {self.section} line {self.line}"


@dataclass(frozen=True, slots=True)
class AwsAuth:
    """What the authenticator holds after reading the ConfigMap.

    :param roles: by :func:`arn_key`, the last entry of each.
    :param users: the same for ``mapUsers``.
    :param accounts: account ids of ``mapAccounts``.
    :param entries: every entry in the order of the text, dropped and shadowed ones included.
    :param undecided: entries of ``mapUsers`` for ARNs that differ in case alone and say different things, by
        :func:`arn_key`: the authenticator answers with whichever it meets first. Here the last one counts.
    :param lost: sections that cannot be read at all.
    """

    roles: Mapping[str, AwsAuthEntry]
    users: Mapping[str, AwsAuthEntry]
    accounts: frozenset[str]
    entries: tuple[AwsAuthEntry, ...] = ()
    problems: tuple[Problem, ...] = ()
    undecided: Mapping[str, tuple[AwsAuthEntry, ...]] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()

    def find(self, canonical_arn: str, account: str) -> AwsAuthEntry | None:
        """The entry for a canonical ARN: roles before users, then the account with the ARN as username."""
        key = arn_key(canonical_arn)
        found = self.roles.get(key) or self.users.get(key)
        if found is None and account in self.accounts:
            # An automatically mapped account gives the ARN as name and no group at all.
            return AwsAuthEntry("mapAccounts", 0, canonical_arn, canonical_arn, ())
        return found

    def candidates(self, canonical_arn: str, account: str) -> tuple[AwsAuthEntry, ...]:
        """Every entry that the authenticator may answer with for a canonical ARN: one, or none, or undecided ones."""
        key = arn_key(canonical_arn)
        if key not in self.roles and key in self.undecided:
            return self.undecided[key]
        found = self.find(canonical_arn, account)
        return (found,) if found else ()


def is_nothing(text: str) -> bool:
    """Whether a section's text stands for no mapping at all: blank, or an empty text in quotes or backticks."""
    return text.strip(_GO_SPACE) in _NOTHING


def arn_key(arn: str) -> str:
    """What ARNs have in common that the authenticator takes for one (Go's ``strings.EqualFold``)."""
    return arn.lower().replace("\u017f", "s")


def parse_aws_auth(data: Mapping[str, str]) -> AwsAuth:
    """The mappings in the ``data`` of the ConfigMap; never fails, what is wrong is in ``problems``."""
    problems: list[Problem] = []
    lost: set[str] = set()
    roles = _entries(data.get("mapRoles", ""), "mapRoles", problems, lost)
    users = _entries(data.get("mapUsers", ""), "mapUsers", problems, lost)
    accounts = frozenset(_accounts(data.get("mapAccounts", ""), problems, lost))
    for entry in (*roles, *users):
        problems += _doubts(entry)
    roles_in_force = _roles_in_force(roles, problems)
    users_in_force, undecided = _users_in_force(users, problems)
    return AwsAuth(
        roles_in_force,
        users_in_force,
        accounts,
        (*roles, *users),
        tuple(problems),
        undecided,
        frozenset(lost),
    )


def says_the_same(one: AwsAuthEntry, two: AwsAuthEntry) -> bool:
    """Whether two entries map to the same username and groups."""
    return (one.username, one.groups) == (two.username, two.groups)


def _counting(entries: list[AwsAuthEntry]) -> Iterator[AwsAuthEntry]:
    return (entry for entry in entries if entry.arn and not entry.is_dropped)


def _shadowed(old: AwsAuthEntry, new: AwsAuthEntry) -> Problem:
    if says_the_same(old, new):
        return Problem(old.section, old.line, f"line {new.line} says the same for the same ARN", "repeated")
    return Problem(old.section, old.line, f"never used: line {new.line} maps the same ARN", "shadowed")


def _roles_in_force(entries: list[AwsAuthEntry], problems: list[Problem]) -> dict[str, AwsAuthEntry]:
    found: dict[str, AwsAuthEntry] = {}
    for entry in _counting(entries):
        key = arn_key(entry.arn)
        if shadowed := found.get(key):
            problems.append(_shadowed(shadowed, entry))
        found[key] = entry
    return found


def _users_in_force(
    entries: list[AwsAuthEntry], problems: list[Problem]
) -> tuple[dict[str, AwsAuthEntry], dict[str, tuple[AwsAuthEntry, ...]]]:
    """Users are kept by their ARN as it is written, and compared in any case: the first that a walk meets answers."""
    written: dict[str, AwsAuthEntry] = {}
    for entry in _counting(entries):
        if shadowed := written.pop(entry.arn, None):
            problems.append(_shadowed(shadowed, entry))
        written[entry.arn] = entry
    found: dict[str, AwsAuthEntry] = {}
    rivals: dict[str, list[AwsAuthEntry]] = {}
    for entry in written.values():
        key = arn_key(entry.arn)
        found[key] = entry
        rivals.setdefault(key, []).append(entry)
    undecided = {
        key: tuple(group)
        for key, group in rivals.items()
        if any(not says_the_same(entry, group[0]) for entry in group[1:])
    }
    for key, group in rivals.items():
        for entry in group if len(group) > 1 else ():
            others = " and ".join(f"line {other.line}" for other in group if other is not entry)
            text, code = f"{others} says the same for the same ARN", "repeated"
            if key in undecided:
                text, code = f"undecided: {others} maps the same ARN in other case, and either may count", "undecided"
            problems.append(Problem(entry.section, entry.line, text, code))
    return found, undecided


def _section(text: str, section: str, problems: list[Problem], lost: set[str]) -> list[Node]:
    """The nodes of a section's YAML list; nothing if the text is empty or is not a list.

    Go's ``Unmarshal`` reads the first document of a text and never looks at what follows ``---``.
    """

    def lose(line: int, what: str, code: str) -> list[Node]:
        lost.add(section)
        problems.append(Problem(section, line, what, code))
        return []

    if is_nothing(text):
        return []
    if len(text) > MAX_SECTION:
        return lose(1, "the text is longer than a cluster can hold", "too-long")
    try:
        document = read_document(text)
        if document.version not in (None, (1, 1)):
            raise UnreadableYamlError(1, "only %YAML 1.1 is read")
        # mapAccounts is not turned into JSON.
        if section != "mapAccounts" and (fault := document.fault or json_fault(document)):
            raise fault
    except UnreadableYamlError as error:
        what = error.what.removeprefix("not YAML: ")
        return lose(error.line, f"not YAML ({what}), so the whole section is lost", "not-yaml")
    root = document.root
    if root is None or is_null(root):
        return []
    if root.kind is not Kind.SEQUENCE:
        return lose(root.line, "not a list, so the whole section is lost", "not-a-list")
    if document.more:
        what = "a second YAML document begins here and is ignored"
        problems.append(Problem(section, document.more, what, "second-document"))
    return root.children


def _entries(text: str, section: str, problems: list[Problem], lost: set[str]) -> list[AwsAuthEntry]:
    found: list[AwsAuthEntry] = []
    for node in _section(text, section, problems, lost):
        if node.kind is Kind.MAPPING and node.children:
            found.append(_Decoding(section, problems).entry(node))
        elif node.kind is Kind.MAPPING:
            problems.append(Problem(section, node.line, _NO_ARN, "no-arn"))
            found.append(AwsAuthEntry(section, node.line, "", "", (), None, True))
        else:
            what = "the entry is not a mapping, so it is lost"
            problems.append(Problem(section, node.line, what, "not-a-mapping"))
    return found


class _Decoding:
    """Decodes one entry as ``encoding/json`` does.

    The members of an object come sorted; of several spellings of a key each is decoded into the field in turn. A
    ``null`` leaves a text as it is and empties a list; a value of the wrong type changes nothing.
    """

    def __init__(self, section: str, problems: list[Problem]) -> None:
        self._section = section
        self._problems = problems
        self._texts = {_ARN_KEYS[section]: "", "username": "", "userid": ""}
        self._groups: list[str] = []
        self._sso: dict[str, str] | None = None

    def entry(self, node: Node) -> AwsAuthEntry:
        for name, (_, value) in sorted(members(node).items()):
            key = arn_key(name)
            if key in self._texts:
                self._texts[key] = self._text(value, key, self._texts[key])
            elif key == "groups":
                self._take_groups(value)
            elif key == "sso" and self._section == "mapRoles":
                self._take_sso(value)
        arn = self._texts[_ARN_KEYS[self._section]]
        sso, is_dropped = self._validated(node, arn)
        return AwsAuthEntry(
            self._section, node.line, arn, self._texts["username"], tuple(self._groups), sso, is_dropped
        )

    def _validated(self, node: Node, arn: str) -> tuple[SsoRole | None, bool]:
        if arn and self._sso is not None:
            self._problem(node, "rolearn and sso together, so the entry is lost: give one of them", "two-principals")
            return None, True
        if not arn and self._sso is None:
            self._problem(node, _NO_ARN, "no-arn")
            return None, True
        if self._sso is None:
            return None, False
        try:
            return parse_sso(self._sso), False
        except SsoRoleError as error:
            self._problem(node, f"{error.what}, so the entry is lost", "bad-sso")
            return None, True

    def _text(self, node: Node, key: str, before: str) -> str:
        if is_null(node):
            return before
        value = scalar_value(node, GoYaml.V2, strict=False) if node.kind is Kind.SCALAR else None
        if isinstance(value, str):
            return value
        self._problem(node, f"{key} is not a string, so it counts as empty: quote it", "not-a-string")
        return before

    def _take_groups(self, node: Node) -> None:
        if is_null(node):
            self._groups = []
        elif node.kind is Kind.SEQUENCE:
            # Go keeps the place of an element that it cannot decode, with an empty text.
            before = self._groups
            self._groups = [
                self._text(item, "a group", before[place] if place < len(before) else "")
                for place, item in enumerate(node.children)
            ]
        else:
            what = "groups is not a list, so the entry has no groups: write - in front"
            self._problem(node, what, "groups-not-a-list")

    def _take_sso(self, node: Node) -> None:
        if is_null(node):
            self._sso = None
            return
        self._sso = {} if self._sso is None else self._sso
        if node.kind is not Kind.MAPPING:
            self._problem(node, "sso is not a mapping: give permissionSetName and accountID below it", "bad-sso")
        for name, (_, value) in sorted(members(node).items()):
            if key := _SSO_KEYS.get(arn_key(name)):
                self._sso[key] = self._text(value, f"sso.{key}", self._sso.get(key, ""))

    def _problem(self, node: Node, text: str, code: str) -> None:
        self._problems.append(Problem(self._section, node.line, text, code))


def _accounts(text: str, problems: list[Problem], lost: set[str]) -> Iterator[str]:
    for node in _section(text, "mapAccounts", problems, lost):
        if node.kind is Kind.SCALAR and not is_null(node):
            try:
                value = scalar_value(node, GoYaml.V2)
            except BadScalarError as error:
                lost.add("mapAccounts")
                what = f"{error.what}, so this account and those below are lost"
                problems.append(Problem("mapAccounts", node.line, what, "not-yaml"))
                return
            # Decoded by yaml.v2 itself, which keeps the digits of a number as they are written.
            yield value if isinstance(value, str) else node.value
        else:
            problems.append(Problem("mapAccounts", node.line, "not an account id, so it is lost", "not-an-account"))


def _doubts(entry: AwsAuthEntry) -> Iterator[Problem]:
    """Why an entry that the authenticator takes matches nobody."""

    def problem(text: str, code: str) -> Problem:
        return Problem(entry.section, entry.line, text, code)

    if entry.is_dropped:
        return
    if not entry.username:
        yield problem("the entry has no username", "no-username")
    if entry.sso is not None:
        return
    wanted = PrincipalKind.ROLE if entry.section == "mapRoles" else PrincipalKind.USER
    try:
        # Matched in any case, so read in any case.
        found = PrincipalArn.parse(arn_key(entry.arn))
    except InvalidArnError:
        yield problem(f"{entry.arn!r} names no principal, so it matches nobody", "no-principal")
        return
    if found.kind is PrincipalKind.ASSUMED_ROLE:
        yield problem("a session's ARN never matches: give the role's, without its path", "session-arn")
    elif found.kind is PrincipalKind.ROLE and found.path != "/":
        yield problem("a role ARN with a path never matches: leave the path out", "path")
    elif found.kind is not wanted and found.kind is not PrincipalKind.ROOT:
        yield problem(f"this is the ARN of a {found.kind.value}", "wrong-kind")
