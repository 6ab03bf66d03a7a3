"""What IAM checks of a resource when a document is saved: the form of an ARN, and some rules of IAM and S3.

An ARN whose last parts are missing stands for all that begins so: ``arn:aws:sqs`` is ``arn:aws:sqs:*:*:*``.
"""

from __future__ import annotations

from rolecall.partitions import PARTITIONS

_PARTS = 6
_IAM_PATHS = (
    "user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
    "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
)  # fmt: skip
_WRONG_IAM_PATH = f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.'
# AWS's own policies have these two besides, which the message does not name.
_OTHER_IAM_PATHS = ("root", "role-template/")
# S3 resources that are in one region (service authorization reference, Amazon S3).
_REGIONAL_S3 = ("accesspoint/", "access-grants/", "async-request/", "job/", "storage-lens/", "storage-lens-group/")


def is_broken(resource: str) -> bool:
    """Whether the first of IAM's two readers fails on a resource: "The policy failed legacy parsing".

    It fails on an ARN of a known partition that has no vendor, or whose last part is missing after an empty one.
    """
    parts = resource.split(":", _PARTS - 1)
    if len(parts) < 3 or not _is_partition(parts[1]):
        return False
    return not parts[2] or (len(parts) < _PARTS and "" in parts)


def refusal(resource: str) -> str | None:
    """AWS's message for a resource that it does not save, or ``None``."""
    if resource == "*":
        return None
    parts = resource.split(":", _PARTS - 1)
    if len(parts) == 1:
        return f'Resource {resource} must be in ARN format or "*".'
    # What stands before the first colon is read as "arn", whatever it is.
    _, partition, vendor, region, _, path = given = parts + ["*"] * (_PARTS - len(parts))
    if not _is_partition(partition):
        return f'Partition "{partition}" is not valid for resource "arn:{":".join(given[1:])}".'
    if "*" in vendor or "?" in vendor:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    if vendor == "iam":
        return _iam(resource, region, path)
    if vendor == "s3" and region not in ("", "*") and not path.startswith(("*", *_REGIONAL_S3)):
        return f"Resource {resource} can not contain region information."
    return None


def _iam(resource: str, region: str, path: str) -> str | None:
    if region not in ("", "*"):
        return f"IAM resource {resource} cannot contain region information."
    if path == "*" or path in _OTHER_IAM_PATHS or path.startswith((*_IAM_PATHS, "role-template/")):
        return None
    return _WRONG_IAM_PATH


def _is_partition(text: str) -> bool:
    return text == "*" or text in PARTITIONS
