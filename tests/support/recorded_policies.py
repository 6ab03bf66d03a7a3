"""Documents whose fate AWS has recorded: which it saves, and which it refuses in which words.

Facts of moto's ``tests/test_iam/test_iam_policies.py`` (78 refused, 51 saved by CreatePolicy), which LocalStack's
``tests/aws/services/iam/test_iam_policies.snapshot.json`` recorded again in February 2026. Written here as what is
changed in one harmless statement: ``None`` takes an element away.
"""

from __future__ import annotations

from typing import Any

BUCKET = "arn:aws:s3:::example_bucket"
SYNTAX = "Syntax errors in policy."
VERSION = "Policy document must be version 2012-10-17 or greater."
LEGACY = "The policy failed legacy parsing"
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
COLON = "Actions/Condition can contain only one colon."
ACTIONS = "Policy statement must contain actions."
RESOURCES = "Policy statement must contain resources."
UNIQUE = "Statement IDs (SID) in a single policy must be unique."
REGEX = "Resource vendor must be fully qualified and cannot contain regexes."
IAM_PATH = (
    'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, '
    "mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."
)


def statement(**changes: Any) -> dict[str, Any]:
    found = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET, **changes}
    return {key: value for key, value in found.items() if value is not None}


def document(*statements: Any, **changes: Any) -> dict[str, Any]:
    """A policy of one statement as an object, or of several as a list."""
    found = {
        "Version": "2012-10-17",
        "Statement": statements[0] if len(statements) == 1 else list(statements),
        **changes,
    }
    return {key: value for key, value in found.items() if value is not None}


def one(**changes: Any) -> dict[str, Any]:
    return document(statement(**changes))


def when(operator: str, block: Any, **changes: Any) -> dict[str, Any]:
    return one(Condition={operator: block}, **changes)


def no_arn(resource: str) -> str:
    return f'Resource {resource} must be in ARN format or "*".'


def partition(name: str, resource: str) -> str:
    return f'Partition "{name}" is not valid for resource "{resource}".'


NOT_ACTION = {"Action": None, "NotAction": "s3s:ListBucket"}
TWICE = (statement(Sid="sdf"), {"Sid": "sdf", "Effect": "Allow"})

REFUSED: list[tuple[Any, str]] = [
    ("This is not a json document", SYNTAX),
    (document(statement(), Version=None), VERSION),
    (document(statement(), Version="2008-10-17"), VERSION),
    (document(statement(), Version="2013-10-17"), SYNTAX),
    ({"Version": "2012-10-17"}, SYNTAX),
    ({"Version": "2012-10-17", "Statement": ["afd"]}, SYNTAX),
    (document(statement(), **{"Extra field": "value"}), SYNTAX),
    (one(**{"Extra field": "value"}), SYNTAX),
    (document(statement(), Id=["cd3a324d2343d942772346-34234234423404-4c2242343242349d1642ee"]), SYNTAX),
    (document(statement(), Id={}), SYNTAX),
    (one(Effect="invalid"), SYNTAX),
    (one(Action="invalid"), VENDOR),
    (one(Action=None, NotAction=""), VENDOR),
    (one(Action="a a:ListBucket"), "Vendor a a is not valid"),
    (one(Action="s3:List:Bucket"), COLON),
    (document(statement(Action="s3s:ListBucket"), statement(Action="s:3s:ListBucket")), COLON),
    (one(Resource="invalid resource"), no_arn("invalid resource")),
    (
        document(
            statement(
                Sid="EnableDisableHongKong",
                Action=["account:EnableRegion", "account:DisableRegion"],
                Resource="",
                Condition={"StringEquals": {"account:TargetRegion": "ap-east-1"}},
            ),
            statement(Sid="ViewConsole", Action=["aws-portal:ViewAccount", "account:ListRegions"], Resource=""),
        ),
        no_arn(""),
    ),
    (one(Action="s:3:ListBucket", Resource="sdfsadf"), no_arn("sdfsadf")),
    (one(Resource=["adf"]), no_arn("adf")),
    (one(Resource=""), no_arn("")),
    (one(**NOT_ACTION, Resource="a:bsdfdsafsad"), partition("bsdfdsafsad", "arn:bsdfdsafsad:*:*:*:*")),
    (one(**NOT_ACTION, Resource="a:b:cadfsdf"), partition("b", "arn:b:cadfsdf:*:*:*")),
    (one(**NOT_ACTION, Resource="a:b:c:d:e:f:g:h"), partition("b", "arn:b:c:d:e:f:g:h")),
    (one(Resource="aws:s3:::example_bucket"), partition("s3", "arn:s3:::example_bucket:*")),
    (
        one(Resource=["arn:error:s3:::example_bucket", "arn:error:s3::example_bucket"]),
        partition("error", "arn:error:s3:::example_bucket"),
    ),
    ({"Version": "2012-10-17", "Statement": []}, SYNTAX),
    (one(Resource=None), RESOURCES),
    (one(Resource=[]), RESOURCES),
    (one(Action="invalid", Resource=None), VENDOR),
    (one(Action=None), ACTIONS),
    (one(Effect=None), SYNTAX),
    (one(Action=None, Resource=None), ACTIONS),
    (one(Action=[]), ACTIONS),
    (document({"Effect": "Deny"}, statement()), ACTIONS),
    (one(Resource="arn:aws:iam:::example_bucket"), IAM_PATH),
    (one(Resource="arn:aws:s3::example_bucket"), LEGACY),
    (one(Action=None, Resource="arn:aws:s3::example_bucket"), LEGACY),
    (one(Resource="arn:aws"), REGEX),
    (one(Resource={"a": BUCKET}), SYNTAX),
    (one(Effect="Deny", Resource=["adfdf", {}]), SYNTAX),
    (one(Action=None, NotAction="s3:ListBucket", NotResource=[]), SYNTAX),
    (one(Effect="Deny", Action=[[]]), SYNTAX),
    (one(NotAction="s3s:ListBucket", Action=[]), SYNTAX),
    (one(Action={}), SYNTAX),
    (one(Condition=[]), SYNTAX),
    (one(Condition="a"), SYNTAX),
    (when("a", "b"), SYNTAX),
    (when("DateGreaterThan", "b"), SYNTAX),
    (when("DateGreaterThan", []), SYNTAX),
    (when("DateGreaterThan", {"a": {}}), SYNTAX),
    (when("DateGreaterThan", {"a": {}}, Action=None), SYNTAX),
    (when("x", {"a": "1"}), SYNTAX),
    (when("ForAnyValue::StringEqualsIfExists", {"a": "asf"}), SYNTAX),
    (one(Condition=[{"ForAllValues:StringEquals": {"aws:TagKeys": "Department"}}]), SYNTAX),
    (
        one(Resource="arn:aws:iam:us-east-1::example_bucket"),
        "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information.",
    ),
    (
        one(Resource="arn:aws:s3:us-east-1::example_bucket"),
        "Resource arn:aws:s3:us-east-1::example_bucket can not contain region information.",
    ),
    (one(Sid={}), SYNTAX),
    (one(Sid=[]), SYNTAX),
    (document(*TWICE), UNIQUE),
    (document(*TWICE, Version=None), VERSION),
    (one(NotAction="s3:ListBucket", Action="iam:dsf"), SYNTAX),
    (one(NotResource="*"), SYNTAX),
    (one(Effect="denY"), LEGACY),
    (when("DateGreaterThan", {"a": "sdfdsf"}), LEGACY),
    (document(statement(Condition={"DateGreaterThan": {"a": "sdfdsf"}}), Version=None), VERSION),
    (document(statement(Effect="denY"), Version=None), VERSION),
    (when("DateGreaterThan", {"a": "sdfdsf"}, Action=None, Resource=None), LEGACY),
    (one(Action=None, NotAction="s3:ListBucket", Resource="arn:aws::::example_bucket"), LEGACY),
    (one(Effect="allow", Action=None, Resource="arn:aws:s3:us-east-1::example_bucket"), LEGACY),
    (document(statement(Sid="sdf", Effect="aLLow"), TWICE[1]), LEGACY),
    (one(Resource=None, NotResource="arn:aws:s3::example_bucket"), LEGACY),
    (when("DateLessThanEquals", {"a": "234-13"}), LEGACY),
    (when("DateLessThanEquals", {"a": "2016-12-13t2:00:00.593194+1"}), LEGACY),
    (when("DateLessThanEquals", {"a": "2016-12-13t2:00:00.1999999999+10:59"}), LEGACY),
    (when("DateLessThan", {"a": "9223372036854775808"}), LEGACY),
    (when("DateGreaterThan", {"a": "sdfdsf"}, Resource="arn:error:s3:::example_bucket"), LEGACY),
    (one(Resource="arn:aws::fdsasf"), LEGACY),
]

_OWN = "arn:aws:iam::*:user/${aws:username}"
_SELF_SERVICE = [
    statement(Sid="AllowManageOwnPasswords", Action=["iam:ChangePassword", "iam:GetUser"], Resource=_OWN),
    statement(
        Sid="AllowManageOwnSSHPublicKeys", Action=["iam:DeleteSSHPublicKey", "iam:GetSSHPublicKey"], Resource=_OWN
    ),
]
_FOLDER = "arn:aws:s3:::bucket-name/cognito/application-name/${cognito-identity.amazonaws.com:sub}"
_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-access-point"
_INSTANCE, _VOLUME = "arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*"
_ATTACH = ["ec2:AttachVolume", "ec2:DetachVolume"]

SAVED: list[dict[str, Any]] = [
    one(Resource=[BUCKET]),
    one(Action="iam: asdf safdsf af "),
    one(Resource=[BUCKET, "*"]),
    one(Action="*"),
    document([statement()]),
    one(
        Action="service-prefix:action-name",
        Resource="*",
        Condition={
            "DateGreaterThan": {"aws:CurrentTime": "2017-07-01T00:00:00Z"},
            "DateLessThan": {"aws:CurrentTime": "2017-12-31T23:59:59Z"},
        },
    ),
    one(Action="fsx:ListBucket"),
    one(Resource="arn:aws:iam:::user/example_bucket"),
    one(Resource="arn:aws:s33:::example_bucket"),
    one(Resource="arn:aws:fdsasf"),
    one(Condition={}),
    when("ForAllValues:StringEquals", {"aws:TagKeys": "Department"}),
    one(Resource="arn:aws:cloudwatch:us-east-1::example_bucket"),
    one(Resource="arn:aws:ec2:us-east-1::example_bucket"),
    one(Resource="arn:aws:invalid-service:::example_bucket"),
    one(Resource="arn:aws:invalid-service:us-east-1::example_bucket"),
    one(
        Condition={
            "DateGreaterThan": {"aws:CurrentTime": "2017-07-01T00:00:00Z"},
            "DateLessThan": {"aws:CurrentTime": "2017-12-31T23:59:59Z"},
        }
    ),
    when("DateGreaterThan", {}),
    when("DateGreaterThan", {"a": []}),
    when("a", {}),
    one(Sid="dsfsdfsdfsdfsdfsadfsd"),
    document(
        statement(Sid="ConsoleDisplay", Action=["iam:GetRole", "iam:ListUserTags"], Resource="*"),
        statement(
            Sid="AddTag",
            Action=["iam:TagUser", "iam:TagRole"],
            Resource="*",
            Condition={
                "StringEquals": {"aws:RequestTag/CostCenter": ["A-123", "B-456"]},
                "ForAllValues:StringEquals": {"aws:TagKeys": "CostCenter"},
            },
        ),
    ),
    one(Action=None, NotAction="s3:ListBucket"),
    one(
        Effect="Deny",
        Action="s3:*",
        Resource=None,
        NotResource=["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"],
    ),
    document(statement(Action=None, NotAction="s3:ListBucket"), Id="sdfsdfsdf"),
    one(Action="aaaaaadsfdsafsadfsadfaaaaa:ListBucket"),
    one(Action="s3-s:ListBucket"),
    one(Action="s3.s:ListBucket"),
    one(Action=None, NotAction="s3:ListBucket", Resource=None, NotResource="*"),
    document(statement(Sid="sdf"), statement()),
    when("DateGreaterThan", {"a": "01T"}),
    one(Condition={"x": {}, "y": {}}),
    when("StringEqualsIfExists", {"a": "asf"}),
    when("ForAnyValue:StringEqualsIfExists", {"a": "asf"}),
    when("DateLessThanEquals", {"a": "2019-07-01T13:20:15Z"}),
    when("DateLessThanEquals", {"a": "2016-12-13T21:20:37.593194+00:00"}),
    when("DateLessThanEquals", {"a": "2016-12-13t2:00:00.593194+23"}),
    when("DateLessThan", {"a": "-292275054"}),
    document(
        *_SELF_SERVICE,
        statement(Sid="Own", Action=["iam:DeleteVirtualMFADevice"], Resource="arn:aws:iam::*:mfa/${aws:username}"),
        statement(
            Sid="DenyAllExceptListedIfNoMFA",
            Effect="Deny",
            Action=None,
            NotAction=["iam:CreateVirtualMFADevice", "sts:GetSessionToken"],
            Resource="*",
            Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
        ),
    ),
    document(
        statement(Sid="ListAndDescribe", Action=["dynamodb:List*", "dynamodb:DescribeLimits"], Resource="*"),
        statement(Sid="SpecificTable", Action=["dynamodb:Get*"], Resource="arn:aws:dynamodb:*:*:table/MyTable"),
    ),
    document(
        [
            statement(
                Action=_ATTACH,
                Resource=[_VOLUME, _INSTANCE],
                Condition={"ArnEquals": {"ec2:SourceInstanceARN": "arn:aws:ec2:*:*:instance/instance-id"}},
            )
        ]
    ),
    document(
        statement(
            Action=_ATTACH,
            Resource=_INSTANCE,
            Condition={"StringEquals": {"ec2:ResourceTag/Department": "Development"}},
        ),
        statement(
            Action=_ATTACH,
            Resource=_VOLUME,
            Condition={"StringEquals": {"ec2:ResourceTag/VolumeUser": "${aws:username}"}},
        ),
    ),
    document(
        [
            statement(
                Sid="StartStopIfTags",
                Action=["ec2:StartInstances", "ec2:DescribeTags"],
                Resource="arn:aws:ec2:region:account-id:instance/*",
                Condition={
                    "StringEquals": {"ec2:ResourceTag/Project": "DataAnalytics", "aws:PrincipalTag/Department": "Data"}
                },
            )
        ]
    ),
    document(
        statement(
            Sid="ListYourObjects",
            Resource=["arn:aws:s3:::bucket-name"],
            Condition={"StringLike": {"s3:prefix": ["cognito/application-name/${cognito-identity.amazonaws.com:sub}"]}},
        ),
        statement(Sid="ReadYourObjects", Action=["s3:GetObject"], Resource=[_FOLDER, f"{_FOLDER}/*"]),
    ),
    document(
        statement(Action=["s3:ListAllMyBuckets", "s3:GetBucketLocation"], Resource="*"),
        statement(
            Resource="arn:aws:s3:::bucket-name",
            Condition={"StringLike": {"s3:prefix": ["", "home/", "home/${aws:userid}/*"]}},
        ),
        statement(Action="s3:*", Resource=["arn:aws:s3:::bucket-name/home/${aws:userid}/*"]),
    ),
    document(
        statement(Sid="ConsoleAccess", Action=["s3:GetBucketAcl", "s3:ListAllMyBuckets"], Resource="*"),
        statement(Sid="ListObjectsInBucket", Resource=["arn:aws:s3:::bucket-name"]),
        statement(Sid="AllObjectActions", Action="s3:*Object", Resource=["arn:aws:s3:::bucket-name/*"]),
    ),
    document(*_SELF_SERVICE),
    document([statement(Action="ec2:*", Resource="*", Condition={"StringEquals": {"ec2:Region": "region"}})]),
    document(
        statement(Action="rds:*", Resource=["arn:aws:rds:region:*:*"]),
        statement(Action=["rds:Describe*"], Resource=["*"]),
    ),
    document(
        statement(Sid="", Action="rds:*", Resource=["arn:aws:rds:region:*:*"]),
        statement(Sid="", Action=["rds:Describe*"], Resource=["*"]),
    ),
    document([statement(Sid="", Action=["s3:*"], Resource=[_POINT, f"{_POINT}/object/*"])]),
]
