"""What rolecall made for a file and the file does not name any more: it stays, and plan and drift say so.

What a file does not name is left alone (ADR 29), so that two files, or a file and Terraform, can share an account. But
a line that is taken out would then look like access that is taken away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from rolecall.access.world import World
from rolecall.arn import Arn
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names
from rolecall.plan.actual import Scope, linking, scope_of
from rolecall.plan.findings import Finding
from rolecall.plan.links import mapped_principal, owner_key
from rolecall.plan.resources import MAPPING_KINDS, Kind, ResourceId, Value

CODE = "left-behind"


def left_behind(loaded: Loaded, world: World, now: datetime, made: Iterable[ResourceId]) -> Iterator[Finding]:
    """One warning for each user or role that is left behind, with its mappings.

    :param made: what runs of this file created and did not delete.
    """
    names = Names(loaded, world, now)
    scope = scope_of(names)
    there = linking(world)
    by_principal: dict[str, list[ResourceId]] = {}
    for resource in dict.fromkeys(made):
        if _exists(resource, world, there.keys()) and not _is_named(resource, scope, there):
            by_principal.setdefault(_key(resource, there), []).append(resource)
    for key, resources in by_principal.items():
        _, kind, name = key.split("/", 2) if key.count("/") >= 2 else ("", "principal", key)
        own = [one for one in resources if one.kind not in MAPPING_KINDS]
        name = own[0].name if own else name
        mapped = [
            one for one, value in there.items() if one.kind in MAPPING_KINDS and mapped_principal(one, value) == key
        ]
        clusters = sorted({Arn.parse(one.place).resource.partition("/")[2] for one in mapped})
        where = f" on cluster{'' if len(clusters) == 1 else 's'} {', '.join(clusters)}" if clusters else ""
        if own:
            what = f"{kind} {name} was made by rolecall and is not in the file any more"
            stays = f"it and its mapping{where} stay" if clusters else "it stays"
            section = "people" if kind == "user" else "roles"
            advice = f"to remove it, keep it in {section} with state: absent, and apply"
        else:
            what = f"the mapping of {kind} {name}{where} was made by rolecall, and the file does not name it any more"
            stays = "it stays"
            advice = f"to remove it, name the {kind} with its ARN and state: absent, and apply"
        yield Finding(CODE, (name, *clusters), f"{what}: {stays}", advice, refuses=False)


def _key(resource: ResourceId, there: Mapping[ResourceId, Value]) -> str:
    if resource.kind in MAPPING_KINDS:
        return mapped_principal(resource, there.get(resource))
    return owner_key(resource)


def _exists(resource: ResourceId, world: World, there: Collection[ResourceId]) -> bool:
    if resource.kind is Kind.IAM_USER:
        account = world.accounts.get(resource.place)
        return account is not None and resource.name in account.users
    return resource in there and (resource.kind is Kind.IAM_ROLE or resource.kind in MAPPING_KINDS)


def _is_named(resource: ResourceId, scope: Scope, there: Mapping[ResourceId, Value]) -> bool:
    if resource.kind is Kind.IAM_USER:
        return (resource.place, resource.name) in scope.users
    if resource.kind is Kind.IAM_ROLE:
        return (resource.place, resource.name) in scope.roles
    return _key(resource, there) in scope.keys and resource.place in scope.clusters
