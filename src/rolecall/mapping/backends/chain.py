"""The authenticator's backends in their order: the first that knows an identity speaks for it.

Source: aws-iam-authenticator v0.7 ``pkg/server/server.go`` (``doMapping``, ``authenticateEndpoint``): a backend's
account list is asked right after its entries; a template that cannot be rendered or a reserved name ends the search
with a refusal; identities of scrubbed accounts get a uid of their name and no extras.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rolecall.arn import PrincipalArn
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.backends.entry_table import EntryTable, MatchOptions, build_table
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.reading.aws_auth import AwsAuth
from rolecall.mapping.reading.entries import ROLES, MappedEntry
from rolecall.mapping.resolve import MappingDecision, kubernetes_user
from rolecall.mapping.templates import TemplateError, render
from rolecall.model import Identity, KubernetesUser, Reason

MOUNTED_FILE, EKS_CONFIG_MAP, CRD = "MountedFile", "EKSConfigMap", "CRD"
DYNAMIC_FILE, ACCESS_ENTRIES = "DynamicFile", "AccessEntries"
BACKEND_MODES = (MOUNTED_FILE, EKS_CONFIG_MAP, CRD, DYNAMIC_FILE, ACCESS_ENTRIES)
# Names that the original still takes (pkg/mapper/mapper.go).
DEPRECATED_MODES = {"File": MOUNTED_FILE, "ConfigMap": EKS_CONFIG_MAP}
PRIVATE_DNS_NAME = "{{EC2PrivateDNSName}}"


@dataclass(frozen=True, slots=True)
class Match:
    """What a backend says about an identity; templates are not rendered yet.

    :param source: the line, object or entry that says so.
    """

    username: str
    groups: tuple[str, ...]
    source: str

    @property
    def needs_private_dns_name(self) -> bool:
        """Whether EC2 has to be asked before the templates can be rendered."""
        return PRIVATE_DNS_NAME in self.username or any(PRIVATE_DNS_NAME in group for group in self.groups)


class MismatchError(RolecallError):
    """A backend knows the principal's id, but under another ARN."""


class Backend(Protocol):
    """One place where mappings are kept, as it was when it was last read."""

    @property
    def name(self) -> str: ...

    def find(self, identity: Identity) -> Match | None:
        """What is said about an identity; ``None`` where nothing is, :class:`MismatchError` where it contradicts."""


@dataclass(frozen=True, slots=True)
class TableBackend:
    """MountedFile, and DynamicFile by ARN."""

    name: str
    table: EntryTable
    where: str = ""

    def find(self, identity: Identity) -> Match | None:
        entry = self.table.find(identity.canonical_arn, identity.account)
        return Match(entry.username, entry.groups, f"{self.where} {entry}".strip()) if entry else None


@dataclass(frozen=True, slots=True)
class UserIdBackend:
    """DynamicFile with ``dynamicfileUserIDStrict``: by the principal's unique id, and its ARN has to fit.

    Source: aws-iam-authenticator v0.7 ``pkg/mapper/dynamicfile/mapper.go``. Paths are left out on
    both sides: the entry's ARN may have one, and STS sends those of users, not those of roles.
    """

    name: str
    entries: Mapping[str, tuple[str, Match]]
    accounts: frozenset[str] = frozenset()

    def find(self, identity: Identity) -> Match | None:
        found = self.entries.get(identity.user_id)
        if found is not None:
            arn, match = found
            if arn and arn != path_free(identity.canonical_arn):
                what = f"{match.source} has the id {identity.user_id}, but not the ARN {identity.canonical_arn}"
                raise MismatchError(what)
            return match
        if identity.account in self.accounts:
            return Match(identity.canonical_arn, (), f"mapAccounts {identity.account}")
        return None


@dataclass(frozen=True, slots=True)
class AwsAuthBackend:
    """EKSConfigMap: aws-auth as the authenticator reads it, then what :class:`MatchOptions` adds to it."""

    aws_auth: AwsAuth
    more: EntryTable = field(default_factory=EntryTable)
    name: str = EKS_CONFIG_MAP

    def find(self, identity: Identity) -> Match | None:
        found = self.aws_auth.find(identity.canonical_arn, identity.account)
        if found is None or found.section != "mapRoles":
            # Roles come before users and accounts, whatever way they are matched.
            also = self.more.find(identity.canonical_arn, identity.account)
            if also is not None:
                return Match(also.username, also.groups, f"aws-auth {also}")
        return Match(found.username, found.groups, str(found)) if found else None


@dataclass(frozen=True, slots=True)
class IdentityMappingBackend:
    """CRD: IAMIdentityMapping objects by the canonical ARN in their status.

    :param more: what :class:`MatchOptions` adds; the line of an entry is its place in ``names``.
    :param names: of the objects.
    """

    mappings: Mapping[str, IdentityMapping]
    more: EntryTable = field(default_factory=EntryTable)
    names: tuple[str, ...] = ()
    name: str = CRD

    @classmethod
    def of(cls, mappings: Iterable[IdentityMapping], options: MatchOptions) -> IdentityMappingBackend:
        """The backend of objects in their order: of two for one ARN, the first counts."""
        listed = tuple(mappings)
        exact: dict[str, IdentityMapping] = {}
        for one in listed:
            exact.setdefault(one.canonical_arn, one)
        entries = [
            MappedEntry(ROLES, place, one.canonical_arn, one.username, one.groups)
            for place, one in enumerate(listed)
            if ":role/" in one.canonical_arn
        ]
        # In a list of entries the last one counts.
        table, _, _ = build_table(reversed(entries), (), options, exact=False)
        return cls(exact, table, tuple(one.name for one in listed))

    def find(self, identity: Identity) -> Match | None:
        found = self.mappings.get(identity.canonical_arn.lower())
        if found is not None:
            return Match(found.username, found.groups, f"IAMIdentityMapping {found.name}")
        also = self.more.find(identity.canonical_arn, identity.account)
        return Match(also.username, also.groups, f"IAMIdentityMapping {self.names[also.line]}") if also else None


@dataclass(frozen=True, slots=True)
class AccessEntryBackend:
    """EKS access entries by the principal's unique id.

    :param by_arn: entries whose principal's id could not be read (another account's), by lower-case ARN without path.
    """

    by_id: Mapping[str, AccessEntry]
    by_arn: Mapping[str, AccessEntry] = field(default_factory=dict)
    name: str = ACCESS_ENTRIES

    def entry(self, identity: Identity) -> AccessEntry | None:
        """The entry of an identity's principal."""
        found = self.by_id.get(identity.user_id)
        return found if found or not self.by_arn else self.by_arn.get(path_free(identity.canonical_arn))

    def find(self, identity: Identity) -> Match | None:
        found = self.entry(identity)
        return Match(found.username, found.groups, f"access entry {found.principal_arn}") if found else None


@dataclass(frozen=True, slots=True)
class Chain:
    """Backends in order, and what holds for all of them.

    :param reserved: prefixes that no username from a backend may have, by the backend's name.
    :param scrubbed: accounts whose identities appear in no log, uid, extra or refusal.
    """

    backends: tuple[Backend, ...] = ()
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scrubbed: frozenset[str] = frozenset()

    def find(self, identity: Identity) -> tuple[Backend, Match] | MappingDecision:
        """The backend that speaks and what it says; the refusal where none does."""
        mismatches: list[str] = []
        for backend in self.backends:
            try:
                match = backend.find(identity)
            except MismatchError as error:
                mismatches.append(error.what)
                continue
            if match is not None:
                return backend, match
        if mismatches:
            return self.refusal(identity, "mismatch", "; ".join(mismatches))
        return self.refusal(identity, "no-mapping", self._unmapped(identity))

    def refusal(self, identity: Identity, code: str, text: str, source: str = "") -> MappingDecision:
        """Nobody, and why. Of a scrubbed account's identity the words say nothing: the API server logs them, too."""
        if identity.account in self.scrubbed:
            text = f"an identity of a scrubbed account is not let in ({code})"
            source = "" if identity.account in source else source
        return MappingDecision(None, (Reason(code, text, source),))

    def resolve(self, identity: Identity, *, ec2_private_dns_name: str | None = None) -> MappingDecision:
        """The Kubernetes user for an identity, and the line that decided."""
        found = self.find(identity)
        if isinstance(found, MappingDecision):
            return found
        return self.rendered(identity, *found, ec2_private_dns_name=ec2_private_dns_name)

    def rendered(
        self, identity: Identity, backend: Backend, match: Match, *, ec2_private_dns_name: str | None = None
    ) -> MappingDecision:
        """The decision for what :meth:`find` found."""
        try:
            name = render(match.username, identity, ec2_private_dns_name=ec2_private_dns_name)
            groups = tuple(render(group, identity, ec2_private_dns_name=ec2_private_dns_name) for group in match.groups)
        except TemplateError as error:
            return self.refusal(identity, "template", error.what, match.source)
        for prefix in self.reserved.get(backend.name, ()):
            if prefix and name.startswith(prefix):
                text = f"invalid username {name!r} for {backend.name}: it must not begin with {prefix!r}"
                return self.refusal(identity, "reserved", text, match.source)
        if not name:
            return self.refusal(identity, "template", "the username is empty", match.source)
        reason = Reason("mapped", f"{identity.canonical_arn} is {name} by {match.source}", match.source)
        if identity.account in self.scrubbed:
            return MappingDecision(
                KubernetesUser(name, f"aws-iam-authenticator:administrative:{name}", groups), (reason,)
            )
        return MappingDecision(kubernetes_user(identity, name, groups), (reason,))

    def _unmapped(self, identity: Identity) -> str:
        places = ", ".join(backend.name for backend in self.backends) or "no backend"
        text = f"{identity.canonical_arn} is not mapped in {places}"
        name = identity.canonical_arn.rpartition("/")[2].lower()
        for entry in self._entries():
            if entry.lower().rpartition("/")[2] == name:
                return f"{text}; {entry} is mapped, which is another ARN"
        return text

    def _entries(self) -> Iterator[str]:
        """ARNs that are mapped, for the hint at a near miss."""
        for backend in self.backends:
            if isinstance(backend, AwsAuthBackend):
                yield from (entry.arn for entry in backend.aws_auth.roles.values())
                yield from (entry.arn for entry in backend.aws_auth.users.values())
            elif isinstance(backend, TableBackend):
                yield from (entry.arn for entry in backend.table.roles.values())
                yield from (entry.arn for entry in backend.table.users.values())


def path_free(arn: str) -> str:
    """A role's or user's ARN without its path, in lower case; any other text as it is, in lower case."""
    try:
        found = PrincipalArn.parse(arn)
    except InvalidArnError:
        return arn.lower()
    return f"arn:{found.partition}:iam::{found.account}:{found.kind.value}/{found.name}".lower()
