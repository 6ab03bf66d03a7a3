"""Context keys that can have several values, whatever number they have in one request.

Source: IAM user guide, "AWS global condition context keys" (keys whose value is a list) and "Available keys for AWS
OIDC federation"; service authorization reference, keys of type ArrayOfString and ArrayOfARN.
"""

from __future__ import annotations

_SEVERAL = frozenset(
    {
        "aws:calledvia",
        "aws:principalorgpaths",
        "aws:principalservicenameslist",
        "aws:resourceorgpaths",
        "aws:sourceorgpaths",
        "aws:tagkeys",
        "sts:transitivetagkeys",
        "sts:requestcontextproviders",
        "iam:fido-fips-140-2-certification",
        "iam:fido-certification",
        "dynamodb:attributes",
        "dynamodb:leadingkeys",
        "kms:encryptioncontextkeys",
        "kms:grantoperations",
        "s3:requestobjecttagkeys",
        "eks:namespaces",
        "eks:kubernetesgroups",
        "eks:loggingtype",
        "route53:changeresourcerecordsetsnormalizedrecordnames",
    }
)
# Claims of identity providers that are lists: the methods of a login, the groups of a directory.
_ENDINGS = (":amr", "tagkeys")


def has_several_values(key: str) -> bool:
    """Whether a context key is one that can have several values; any case."""
    key = key.lower()
    # What follows a slash is the key of one tag.
    return key in _SEVERAL or ("/" not in key and key.endswith(_ENDINGS))
