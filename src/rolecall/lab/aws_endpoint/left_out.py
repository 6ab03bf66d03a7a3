"""Parameters of AWS that the lab cannot honour. They are refused: an operation that is done has done what was asked.

What is off (an empty or false setting) is accepted. See ``docs/adr/0006-what-the-lab-leaves-out.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Params

_NO_NODES = "The lab's clusters have no nodes."
_NO_SETTINGS = "The lab's control plane cannot be configured."
_CLUSTER = {
    "outpostConfig": "The lab has no Outposts.",
    "remoteNetworkConfig": _NO_NODES,
    "computeConfig": _NO_NODES,
    "storageConfig": _NO_NODES,
    "zonalShiftConfig": "The lab has no Availability Zones.",
    "controlPlaneScalingConfig": _NO_SETTINGS,
    "kubeApiServerConfig": _NO_SETTINGS,
    "kubeSchedulerConfig": _NO_SETTINGS,
    "kubeControllerManagerConfig": _NO_SETTINGS,
}
_UPDATE = {
    "nodegroupName": "No node group found.",
    "addonName": "No addon found.",
    "capabilityName": "No capability found.",
}
_SIMULATE = {
    "ResourceOwner": "The lab does not simulate resources of another account.",
    "ResourceHandlingOption": "The lab has no EC2 scenarios.",
}
# By service and operation: the parameter and why it is refused.
_LEFT_OUT: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("eks", "CreateCluster"): _CLUSTER,
    ("eks", "UpdateClusterConfig"): _CLUSTER,
    ("eks", "UpdateClusterVersion"): {"rollbackConfig": "The lab does not roll back a version."},
    ("eks", "DescribeUpdate"): _UPDATE,
    ("eks", "ListUpdates"): _UPDATE,
    ("iam", "SimulateCustomPolicy"): {
        "OrderedOrganizationPolicyInputList": "The lab does not simulate the policies of an organization.",
        **_SIMULATE,
    },
    ("iam", "SimulatePrincipalPolicy"): {"PolicyExclusionList": "The lab cannot leave policies out.", **_SIMULATE},
    ("sts", "AssumeRole"): {"ProvidedContexts": "The lab has no context providers."},
    ("sts", "AssumeRoleWithWebIdentity"): {"ProviderId": "The lab accepts ID tokens of OpenID Connect only."},
}
_CODES = {"eks": "InvalidParameterException", "iam": "InvalidInput", "sts": "ValidationError"}
_OF_UPDATES = "ResourceNotFoundException"


def refuse_left_out(service: str, operation: str, params: Params) -> None:
    """Refuse a call that asks for something the lab does not have; the error names the parameter."""
    for name, why in _LEFT_OUT.get((service, operation), {}).items():
        if _asks_for_something(params.get(name)):
            raise AwsError(_OF_UPDATES if name in _UPDATE else _CODES[service], f"{name}: {why}", 400)


def left_out(service: str, operation: str) -> Iterable[str]:
    """The parameters of an operation that are refused."""
    return _LEFT_OUT.get((service, operation), {})


def _asks_for_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_asks_for_something, value.values()))
    return any(map(_asks_for_something, value)) if isinstance(value, list) else bool(value)
