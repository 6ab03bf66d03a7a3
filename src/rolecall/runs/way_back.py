"""What a step destroys that its undo does not bring back, by kind of resource.

Sources: IAM user guide, "IAM identifiers" (a user or role that is created again has a new unique id) and "Remove or
deactivate an IAM user"; EKS user guide, "Create access entries" (an entry belongs to one unique id).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rolecall.access.world import World
from rolecall.plan.resources import Change, Kind

NOT_RESTORED = {
    Kind.IAM_USER: "user {name} is created again with a new unique id: its access keys, password, MFA devices, "
    "policies and group memberships do not come back",
    Kind.IAM_ROLE: "role {name} is created again with a new unique id: its attached managed policies do not come back, "
    "and access entries that others made for it stay bound to the old id",
    Kind.ACCESS_ENTRY: "the access entry of {name} is created again: its tags do not come back",
    Kind.IDENTITY_MAPPING: "the IAMIdentityMapping {name} is created again: labels and annotations do not come back",
    Kind.CLUSTER_ROLE_BINDING: "the ClusterRoleBinding {name} is created again: annotations do not come back",
    Kind.ROLE_BINDING: "the RoleBinding {name} is created again: annotations do not come back",
}


def not_restored(back: Iterable[Change]) -> Iterator[str]:
    """What the changes of an undo do not bring back: one sentence for each thing that they create again."""
    for change in back:
        if change.before is None and change.after is not None and change.resource.kind in NOT_RESTORED:
            yield NOT_RESTORED[change.resource.kind].format(name=change.resource.name)


def lost_with(world: World, changes: Iterable[Change]) -> Iterator[str]:
    """What goes with the users that are deleted, as far as it was read, and that no undo brings it back."""
    for change in changes:
        account = world.accounts.get(change.resource.place)
        if change.resource.kind is not Kind.IAM_USER or change.after is not None or account is None:
            continue
        user = account.users.get(change.resource.name)
        if user is None:
            continue
        counts = {"inline policies": sorted(user.inline), "managed policies": user.attached, "groups": user.groups}
        named = "; ".join(f"{what}: {', '.join(found)}" for what, found in counts.items() if found)
        yield (
            f"with user {user.name} go its access keys, password and MFA devices{f', and {named}' if named else ''}; "
            "undo creates an empty user with a new unique id"
        )
