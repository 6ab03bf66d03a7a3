"""What an action of a service is: a small function with a declaration of what it needs permission for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from rolecall.iam.compiled import CompiledPolicies
from rolecall.iam.principals import Principal
from rolecall.lab.aws_endpoint.ids import Ids
from rolecall.lab.aws_endpoint.store import Store

Params = Mapping[str, Any]
Result = Mapping[str, Any]
Context = Mapping[str, tuple[str, ...]]


class AwsError(Exception):
    """An error of the AWS API: ``code`` and ``message`` as AWS words them.

    :param status: HTTP status; ``None`` takes it from the error's shape in the service model, else 400.
    :param members: further members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: Any) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.members = members
        super().__init__(f"{code}: {message}")


class ClusterBackend(Protocol):
    """What brings Kubernetes clusters up and down. Both methods return at once; the work follows the commit."""

    def bring_up(self, cluster_id: str) -> None: ...

    def tear_down(self, cluster_id: str) -> None: ...

    def signing_keys(self, issuer: str) -> Mapping[str, Any] | None:
        """The JSON Web Key Set of a cluster's service account issuer, ``None`` if no cluster of the lab has it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action: who calls, where, when, and what the action may use.

    :param account: the caller's account, which every action works in.
    :param now: UTC, aware.
    :param policies: the policies on a caller's side, ready for decisions.
    """

    store: Store
    caller: Principal
    account: str
    partition: str
    region: str
    now: datetime
    ids: Ids
    clusters: ClusterBackend
    policies: Callable[[Principal], CompiledPolicies]
    source_ip: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission that a call needs: an action on a resource, in a context of service keys."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """An operation of a service: what it needs permission for, and what it does."""

    service: str
    operation: str
    run: Callable[[Call, Params], Result | None]
    permissions: Callable[[Call, Params], Iterable[Permission]]
    authenticated: bool = True
    writes: bool = True


_READING = ("Get", "List", "Describe", "Simulate", "Decode")

ACTIONS: dict[tuple[str, str], Action] = {}


def action(
    service: str,
    operation: str,
    *,
    resource: Callable[[Call, Params], str] | None = None,
    context: Callable[[Call, Params], Context] | None = None,
    also: Callable[[Call, Params], Iterable[Permission]] | None = None,
    permission: str = "",
    authorize: bool = True,
    authenticated: bool = True,
    writes: bool | None = None,
) -> Callable[[Callable[[Call, Params], Result | None]], Callable[[Call, Params], Result | None]]:
    """Register a function as an operation.

    :param resource: the ARN that permission is needed on; ``*`` where left out.
    :param context: service condition keys of the request, such as ``aws:requesttag/owner``.
    :param also: further permissions, such as ``iam:PassRole``.
    :param permission: the IAM action if it is not ``service:operation``.
    :param authorize: ``False`` for an operation that needs no permission or decides for itself.
    :param authenticated: ``False`` for an operation that is called without a signature.
    :param writes: whether it changes state; by its name where left out.
    """

    def permissions(call: Call, params: Params) -> Iterable[Permission]:
        if authorize:
            yield Permission(
                permission or f"{service}:{operation}",
                resource(call, params) if resource else "*",
                context(call, params) if context else {},
            )
        if also:
            yield from also(call, params)

    def register(run: Callable[[Call, Params], Result | None]) -> Callable[[Call, Params], Result | None]:
        ACTIONS[service, operation] = Action(
            service,
            operation,
            run,
            permissions,
            authenticated,
            not operation.startswith(_READING) if writes is None else writes,
        )
        return run

    return register
