"""``access.yaml``: its sections as people write them, their bounds, and the JSON Schema that editors complete from.

Every model refuses keys that it does not know and values of another type. Whether the names that one part uses exist
in another is checked by :mod:`rolecall.manifest.load`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from rolecall.iam.trust_policy import NO_CONDITIONS, TrustConditions
from rolecall.mapping.access_entries import EntryType
from rolecall.moments import parse_moment

MAX_PEOPLE = 100_000
MAX_ROLES = 20_000
MAX_CLUSTERS = 10_000
MAX_GRANTS = 100_000
MAX_MEMBERS = 10_000
SCHEMA_ID = "access.schema.json"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+=,@:-]{0,127}$", description="A name that other parts of the file use."),
]
Reference = Annotated[str, Field(min_length=1, max_length=128)]
AccountId = Annotated[
    str, Field(pattern=r"^[0-9]{12}$", description="12 digits, in quotes.", examples=["111122223333"])
]
PRINCIPAL_NAME = r"^[A-Za-z0-9_+=,.@-]{1,64}$"
CLUSTER_NAME = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$"
PrincipalName = Annotated[str, Field(pattern=PRINCIPAL_NAME)]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@-]{1,128}$")]
Path = Annotated[
    str, Field(pattern=r"^/([!-~]+/)?$", max_length=512, description="IAM path.", examples=["/", "/team/"])
]
Arn = Annotated[str, Field(pattern=r"^arn:[a-z-]{3,20}:[!-~]+$", max_length=2_048)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2,5}(-[a-z]+){1,3}-[0-9]{1,2}$", examples=["eu-west-2"])]
ExternalId = Annotated[str, Field(min_length=2, max_length=1_224, pattern=r"^[A-Za-z0-9_+=,.@:/-]+$")]
Tags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)],
        Annotated[str, Field(max_length=256)],
    ],
    Field(max_length=50),
]
ClusterName = Annotated[str, Field(pattern=CLUSTER_NAME)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?$")]
ObjectName = Annotated[str, Field(pattern=r"^[^/%\s]{1,253}$")]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Moment = Annotated[
    datetime,
    BeforeValidator(parse_moment),
    WithJsonSchema(
        {
            "type": "string",
            "description": "When it ends: a date (its beginning, UTC) or a moment with a time zone.",
            "examples": ["2026-03-31", "2026-03-31T18:00:00Z"],
        }
    ),
]
Document = Annotated[
    dict[str, Any],
    Field(description="An IAM policy document.", json_schema_extra={"required": ["Statement"]}),
]


class State(StrEnum):
    """Whether a principal shall exist."""

    present = "present"
    absent = "absent"


class MappingBackend(StrEnum):
    """Where a cluster's mappings are written."""

    aws_auth = "aws-auth"
    access_entries = "access-entries"
    crd = "crd"


# Strictly only members of an enumeration would be taken; a file has their texts.
StateText = Annotated[State, Field(strict=False)]
BackendText = Annotated[MappingBackend, Field(strict=False)]


class AccountSpec(_Model):
    """An AWS account and how it is reached."""

    id: AccountId
    profile: Text | None = Field(None, description="Profile of the AWS CLI's files that reaches the account.")
    role_arn: Arn | None = Field(None, description="A role to assume in the account, by that profile's credentials.")
    external_id: ExternalId | None = Field(None, description="sts:ExternalId that this role asks for.")
    region: Region | None = Field(None, description="Region of calls that belong to no cluster.")


class Person(_Model):
    """Somebody, as exactly one of: an IAM user that is made and owned here, an existing principal, a permission set."""

    user: PrincipalName | None = Field(None, description="Name of the IAM user; created if it does not exist.")
    arn: Arn | None = Field(None, description="An existing user or role, of any account; only referred to.")
    permission_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@-]{1,32}$")] | None = Field(
        None, description="A permission set of IAM Identity Center: the account's role AWSReservedSSO_NAME_*."
    )
    account: Reference | None = Field(None, description="Name of the account that the user or permission set is in.")
    path: Path = "/"
    tags: Tags | None = Field(None, description="Tags of the IAM user.")
    assume_roles: bool = Field(
        True,
        description="Whether the user gets the right to assume its roles of other accounts, which AWS asks for; "
        "false: its policies are left alone.",
    )
    state: StateText = Field(
        State.present, description="absent: taken out of everything, and an owned user is deleted."
    )

    @model_validator(mode="after")
    def _one_of(self) -> Person:
        given = [key for key in ("user", "arn", "permission_set") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of user, arn and permissionSet")
        if self.arn is None and self.account is None:
            raise ValueError(f"{to_camel(given[0])} needs account: the name of an account in accounts")
        if self.arn is not None and self.account is not None:
            raise ValueError("an arn names its account itself: leave account out")
        if self.user is None and (self.path != "/" or self.tags is not None or not self.assume_roles):
            raise ValueError("path, tags and assumeRoles belong to a user that is owned here")
        return self


class Member(_Model):
    """Who may assume a role: a person, a group, or a whole account."""

    person: Reference | None = Field(None, description="Name in people.")
    group: Reference | None = Field(None, description="Name in groups.")
    account: Reference | None = Field(
        None, description="Name in accounts: all that the account's own policies allow. Wide; prefer people."
    )
    until: Moment | None = Field(None, description="From then on not any more; IAM itself ends it.")

    @model_validator(mode="after")
    def _one_of(self) -> Member:
        if sum(one is not None for one in (self.person, self.group, self.account)) != 1:
            raise ValueError("give exactly one of person, group and account")
        return self


def _kind_of(found: Any) -> str:
    return "name" if isinstance(found, str) else "member"


NameOrMember = Annotated[
    Annotated[Reference, Tag("name")] | Annotated[Member, Tag("member")],
    Discriminator(_kind_of),
]


class Conditions(_Model):
    """What must hold of a request to assume the role; each becomes a condition of the trust policy."""

    mfa: bool = Field(False, description="aws:MultiFactorAuthPresent")
    mfa_max_age: Annotated[int, Field(ge=60, le=129_600)] | None = Field(
        None, description="aws:MultiFactorAuthAge: seconds since the code was given, at most."
    )
    session_name: Literal["username"] | None = Field(
        None, description="sts:RoleSessionName must be the IAM user's own name, so that a session names its person."
    )
    source_identity: Literal["username"] | None = Field(
        None, description="sts:SourceIdentity must be the IAM user's own name; it persists through chained roles."
    )
    external_id: ExternalId | None = Field(None, description="sts:ExternalId")
    source_ip: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=200)] | None = (
        Field(None, description="aws:SourceIp: addresses or CIDR blocks.", examples=[["203.0.113.0/24"]])
    )

    @model_validator(mode="after")
    def _consistent(self) -> Conditions:
        if self.mfa_max_age is not None and not self.mfa:
            raise ValueError("mfaMaxAge needs mfa: true")
        for block in self.source_ip or ():
            try:
                ip_network(block)
            except ValueError:
                raise ValueError(f"{block!r} is not an IP address or CIDR block, such as 203.0.113.0/24") from None
        return self

    def rule(self) -> TrustConditions:
        """The conditions as the rule that writes trust policies takes them."""
        return TrustConditions(
            mfa=self.mfa,
            mfa_max_age=self.mfa_max_age,
            session_name=self.session_name is not None,
            source_identity=self.source_identity is not None,
            external_id=self.external_id,
            source_ip=tuple(self.source_ip or ()),
        )


def write_conditions(found: TrustConditions) -> dict[str, Any] | None:
    """Conditions of a trust policy as access.yaml writes them; ``None`` if the file cannot hold them."""
    raw = {
        "mfa": found.mfa,
        "mfaMaxAge": found.mfa_max_age,
        "sessionName": "username" if found.session_name else None,
        "sourceIdentity": "username" if found.source_identity else None,
        "externalId": found.external_id,
        "sourceIp": list(found.source_ip) or None,
    }
    try:
        return Conditions.model_validate(raw).model_dump(by_alias=True, exclude_defaults=True)
    except ValidationError:
        return None


class RoleSpec(_Model):
    """An IAM role that people assume: made and owned here, or an existing one (arn) of which only the mappings are."""

    name: PrincipalName | None = Field(None, description="The role's name in AWS; by default its key here.")
    account: Reference | None = Field(None, description="Name of its account in accounts.")
    arn: Arn | None = Field(None, description="An existing role, with its path. Its trust policy is left alone.")
    path: Path | None = None
    description: Annotated[str, Field(max_length=1_000)] | None = None
    tags: Tags | None = None
    max_session_duration: Annotated[int, Field(ge=3_600, le=43_200)] | None = Field(
        None, description="Seconds that a session may last: 3600 to 43200."
    )
    assumable_by: Annotated[list[NameOrMember], Field(max_length=MAX_MEMBERS)] | None = Field(
        None, description="Who may assume it: names of people and groups. Nobody else may."
    )
    conditions: Conditions | None = None
    trust_policy: Document | None = Field(None, description="The trust policy itself, instead of assumableBy.")
    describe_clusters: bool = Field(
        True, description="Whether the role may eks:DescribeCluster its clusters, which update-kubeconfig asks for."
    )
    policies: Annotated[dict[PolicyName, Document], Field(max_length=50)] | None = Field(
        None, description="Inline policies by name. Where given, these and no others."
    )
    break_glass: bool = Field(False, description="For emergencies: must ask for MFA, and sessions end within an hour.")
    state: StateText = Field(State.present, description="absent: its mappings are removed and the role is deleted.")

    @model_validator(mode="after")
    def _consistent(self) -> RoleSpec:
        if (self.arn is None) == (self.account is None):
            raise ValueError("give account for a role that is owned here, or arn for an existing one")
        if self.arn is not None:
            owned = self.model_fields_set - {"arn", "state"}
            if owned:
                raise ValueError(f"an existing role is not changed: leave out {to_camel(min(owned))}")
        elif self.state is State.present and (self.assumable_by is None) == (self.trust_policy is None):
            raise ValueError("give assumableBy or trustPolicy, exactly one of them")
        if self.trust_policy is not None and self.conditions is not None:
            raise ValueError("conditions belong to assumableBy; in trustPolicy write them into the document")
        return self

    def trust_conditions(self) -> TrustConditions:
        """What a request to assume the role must fulfil; none if the file names no conditions."""
        return self.conditions.rule() if self.conditions is not None else NO_CONDITIONS


class ClusterSpec(_Model):
    """A Kubernetes cluster."""

    name: ClusterName | None = Field(None, description="The cluster's name in EKS; by default its key here.")
    account: Reference
    region: Region
    mapping: BackendText | None = Field(
        None, description="Where mappings are written. By default access-entries if the cluster reads them."
    )
    context: Annotated[str, Field(min_length=1, max_length=1_024)] | None = Field(
        None, description="Context of your kubeconfig by which it is reached; by default what EKS says of it."
    )
    labels: Annotated[dict[Text, Annotated[str, Field(max_length=63)]], Field(max_length=50)] = Field(
        default_factory=dict, description="For clusterSelector of grants.", examples=[{"env": "prod"}]
    )
    unlisted: Literal["keep", "remove"] = Field(
        "keep", description="Mappings of principals that the file does not name: left alone, or removed."
    )


class AccessPolicyRef(_Model):
    """An EKS access policy. Needs a cluster that reads access entries."""

    policy: Annotated[str, Field(pattern=r"^[A-Za-z0-9:/-]{1,200}$")] = Field(
        description="Its name or ARN.", examples=["AmazonEKSViewPolicy"]
    )
    namespaces: Annotated[list[Namespace], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Namespaces to which it applies; by default the whole cluster. May contain *, as in dev-*."
    )


class BindingSpec(_Model):
    """A role of Kubernetes that the grant's groups are bound to, or its username where it has no group."""

    cluster_role: ObjectName | None = None
    role: ObjectName | None = Field(None, description="A Role; needs namespace.")
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] | None = Field(
        None, description="Binds in this namespace alone."
    )

    @model_validator(mode="after")
    def _one_of(self) -> BindingSpec:
        if (self.cluster_role is None) == (self.role is None):
            raise ValueError("give exactly one of clusterRole and role")
        if self.role is not None and self.namespace is None:
            raise ValueError("a role is in a namespace: give namespace")
        return self


class ClusterSelector(_Model):
    """Clusters by label."""

    match_labels: Annotated[dict[Text, str], Field(min_length=1, max_length=20)]


def _listed(found: Any) -> Any:
    return [found] if isinstance(found, str) else found


class Grant(_Model):
    """What a role, or a person without one, is on clusters."""

    role: Reference | None = Field(None, description="Name in roles.")
    person: Reference | None = Field(None, description="Name in people: mapped without a role, for emergencies.")
    clusters: Annotated[
        list[Reference],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=MAX_CLUSTERS),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
                "description": "Names in clusters, or patterns such as prod-*.",
                "examples": ["prod-1", ["prod-*", "staging"]],
            }
        ),
    ] = Field(default_factory=list)
    cluster_selector: ClusterSelector | None = None
    username: Annotated[str, Field(min_length=1, max_length=1_024)] | None = Field(
        None,
        description="The Kubernetes username, a template. In quotes, because it begins with a brace.",
        examples=["{{SessionName}}", "admin:{{AccessKeyID}}:{{SessionName}}"],
    )
    groups: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list, description="Kubernetes groups.")
    access_policies: Annotated[list[AccessPolicyRef], Field(max_length=20)] = Field(default_factory=list)
    bindings: Annotated[list[BindingSpec], Field(max_length=200)] = Field(
        default_factory=list, description="RBAC behind the groups; made, and removed with the grant."
    )
    node_role: bool = Field(False, description="The role is of worker nodes: username and groups of nodes.")
    type: Annotated[EntryType, Field(strict=False)] | None = Field(
        None, description="Type of the access entry; STANDARD unless it is of nodes."
    )
    mapping: BackendText | None = Field(None, description="Where this mapping is written, if not as the cluster's.")
    until: Moment | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Grant:
        if (self.role is None) == (self.person is None):
            raise ValueError("give exactly one of role and person")
        if not self.clusters and self.cluster_selector is None:
            raise ValueError("give clusters or clusterSelector")
        if self.node_role and (self.bindings or self.access_policies or self.role is None):
            raise ValueError("nodes have a role, and neither bindings nor access policies")
        return self


class Manifest(_Model):
    """Who has access to which clusters, through which roles."""

    model_config = ConfigDict(json_schema_extra={"$id": SCHEMA_ID}, title="access.yaml")

    version: Literal[1] = 1
    include: Annotated[list[Annotated[str, Field(min_length=1, max_length=1_024)]], Field(max_length=1_000)] = Field(
        default_factory=list,
        description="Other files, relative to this one, whose sections are added to these.",
        examples=[["people.yaml", "teams/platform.yaml"]],
    )
    accounts: Annotated[dict[Name, AccountSpec], Field(max_length=MAX_CLUSTERS)] = Field(default_factory=dict)
    people: Annotated[dict[Name, Person], Field(max_length=MAX_PEOPLE)] = Field(default_factory=dict)
    groups: Annotated[
        dict[Name, Annotated[list[Reference], Field(max_length=MAX_MEMBERS)]], Field(max_length=MAX_ROLES)
    ] = Field(default_factory=dict, description="Lists of names of people and of other groups.")
    roles: Annotated[dict[Name, RoleSpec], Field(max_length=MAX_ROLES)] = Field(default_factory=dict)
    clusters: Annotated[dict[Name, ClusterSpec], Field(max_length=MAX_CLUSTERS)] = Field(default_factory=dict)
    grants: Annotated[list[Grant], Field(max_length=MAX_GRANTS)] = Field(default_factory=list)


SECTIONS = ("accounts", "people", "groups", "roles", "clusters", "grants")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``access.yaml`` (draft 2020-12)."""
    schema = Manifest.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(schema)}


def _untitled(found: Any) -> Any:
    """Without the titles that are made from names of members: editors show them in place of the name itself."""
    if isinstance(found, list):
        return [_untitled(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {
        key: {name: _untitled(value) for name, value in one.items()} if key == "properties" else _untitled(one)
        for key, one in found.items()
        if key != "title" or not isinstance(one, str) or one == "access.yaml"
    }
